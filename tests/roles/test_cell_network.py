# SPDX-License-Identifier: Apache-2.0
"""Plans of the guest bridge for each network manager, from configurations as hosts have them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.cell_network import ifupdown, netplan, networkd
from ansible.module_utils.cell_network.live import Link
from ansible.module_utils.cell_network.plan import Plan, Wanted
from ansible.module_utils.cell_network.transaction import Transaction

from ansible_collections.nano.cloud.plugins.module_utils.errors import (  # isort: skip
    Busy,
    Conflict,
    HypervisorError,
    Unsupported,
)

MAC = "52:54:00:00:00:01"
ADDRESS = {"local": "192.0.2.5", "prefixlen": 24, "scope": "global"}
ROUTE = {"dst": "default", "gateway": "192.0.2.1", "family": "-4"}


def nic(**more: Any) -> Link:
    values: dict[str, Any] = {"addresses": [ADDRESS], "routes": [ROUTE], **more}
    return Link(name="eth0", mac=MAC, index=2, is_up=True, is_bridge=False, **values)


@pytest.fixture
def networkd_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DIRECTORY", "LINKS", "LEASES"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setattr(networkd, name, str(folder))
    return tmp_path


def test_networkd_moves_the_nics_own_configuration(networkd_host: Path) -> None:
    own = networkd_host / "wired.network"
    own.write_text(
        "[Match]\nName=eth*\n\n[Link]\nMTUBytes=1500\n\n[Network]\nDHCP=yes\nDNS=192.0.2.53\n"
    )
    (networkd_host / "links/2").write_text(f"ADMIN_STATE=configured\nNETWORK_FILE={own}\n")
    (networkd_host / "leases/2").write_text("ADDRESS=192.0.2.5\nCLIENTID=ff0a0b0c0d0002\n")
    plan = networkd.plan(Wanted("br0", nic()))
    paths = networkd.paths("br0")
    text = plan.files[paths["network"]]
    assert text is not None
    assert "Name=br0" in text
    assert "eth*" not in text
    assert "MTUBytes" not in text
    assert "DHCP=yes\nDNS=192.0.2.53" in text
    # The same client identity, so the same lease.
    assert f"IAID={0x0A0B0C0D}" in text
    assert f"MACAddress={MAC}" in str(plan.files[paths["device"]])
    assert "Bridge=br0" in str(plan.files[paths["port"]])
    assert str(own) not in plan.files


@pytest.mark.usefixtures("networkd_host")
def test_networkd_keeps_addresses_that_nobody_configured() -> None:
    plan = networkd.plan(Wanted("br0", nic()))
    text = plan.files[networkd.paths("br0")["network"]]
    assert "Address=192.0.2.5/24" in str(text)
    assert "Gateway=192.0.2.1" in str(text)


@pytest.mark.usefixtures("networkd_host")
def test_a_lease_that_nobody_would_renew_is_refused() -> None:
    leased = nic(addresses=[{**ADDRESS, "dynamic": True}])
    with pytest.raises(Unsupported, match="cell_network_backend"):
        networkd.plan(Wanted("br0", leased))


@pytest.mark.usefixtures("networkd_host")
def test_an_isolated_bridge_has_no_port_and_no_address() -> None:
    plan = networkd.plan(Wanted("br0"))
    assert set(plan.files) == {networkd.paths("br0")[part] for part in ("device", "network")}
    assert "Address=" not in str(plan.files)
    assert "MACAddress=" not in str(plan.files)


INTERFACES = """\
# The loopback network interface
auto lo eth0
iface lo inet loopback

iface eth0 inet static
    address 192.0.2.5/24
    gateway 192.0.2.1

iface eth0 inet6 auto

auto eth1
iface eth1 inet dhcp
"""


@pytest.fixture
def interfaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    main = tmp_path / "interfaces"
    main.write_text(INTERFACES)
    (tmp_path / "interfaces.d").mkdir()
    monkeypatch.setattr(ifupdown, "MAIN_FILE", str(main))
    monkeypatch.setattr(ifupdown, "DIRECTORY", str(tmp_path / "interfaces.d"))
    return main


def test_ifupdown_moves_stanzas_and_leaves_the_others(interfaces: Path) -> None:
    plan = ifupdown.plan(Wanted("br0", nic()))
    left, made = str(plan.files[str(interfaces)]), str(plan.files[ifupdown.path("br0")])
    assert "auto lo\niface lo inet loopback" in left
    assert "auto eth1\niface eth1 inet dhcp" in left
    assert "eth0" not in left
    assert f"source {interfaces.parent}/interfaces.d/*" in left
    assert "iface eth0 inet manual" in made
    assert "iface br0 inet static" in made
    assert "address 192.0.2.5/24\n    gateway 192.0.2.1" in made
    assert "iface br0 inet6 auto" in made
    assert made.count("type bridge") == 1


def test_ifupdown_gives_live_addresses_to_the_bridge(interfaces: Path) -> None:
    interfaces.write_text("auto lo\niface lo inet loopback\n")
    made = str(ifupdown.plan(Wanted("br0", nic())).files[ifupdown.path("br0")])
    assert "iface br0 inet static" in made
    assert "address 192.0.2.5/24" in made
    assert "gateway 192.0.2.1" in made


@pytest.fixture
def netplan_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(netplan, "DIRECTORY", str(tmp_path))
    return tmp_path


def test_netplan_moves_addresses_and_leaves_the_match(netplan_files: Path) -> None:
    own = netplan_files / "50-cloud-init.yaml"
    entry = {"match": {"macaddress": MAC}, "set-name": "eth0", "dhcp4": True, "mtu": 9000}
    own.write_text(yaml.safe_dump({"network": {"version": 2, "ethernets": {"id0": entry}}}))
    plan = netplan.plan(Wanted("br0", nic()))
    left = yaml.safe_load(str(plan.files[str(own)]))["network"]["ethernets"]["id0"]
    assert left["match"] == {"macaddress": MAC}
    assert left["mtu"] == 9000
    assert left["dhcp4"] is False
    made = yaml.safe_load(str(plan.files[netplan.path("br0")]))["network"]["bridges"]["br0"]
    assert made["dhcp4"] is True
    assert made["interfaces"] == ["id0"]
    assert made["macaddress"] == MAC
    # Secrets may stand in these files; netplan itself wants them closed.
    assert plan.file_mode == "0600"


def test_netplan_refuses_a_nic_described_twice(netplan_files: Path) -> None:
    for number in (1, 2):
        ethernets = {f"id{number}": {"match": {"macaddress": MAC}}}
        path = netplan_files / f"{number}.yaml"
        path.write_text(yaml.safe_dump({"network": {"ethernets": ethernets}}))
    with pytest.raises(Conflict, match="twice"):
        netplan.plan(Wanted("br0", nic()))


@pytest.fixture
def transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Transaction:
    """A transaction under a temporary root, as a process of this session, without a head start."""
    import ansible.module_utils.cell_network.transaction as module

    monkeypatch.setattr(module, "ROOT", str(tmp_path / "state"))
    monkeypatch.setattr(module, "HEAD_START_SECONDS", 0)
    return Transaction("br0")


def plan_of_two_files(folder: Path) -> Plan:
    old, new = folder / "old.conf", folder / "new.conf"
    old.write_text("as it was\n")
    files: dict[str, str | None] = {str(old): "changed\n", str(new): "made\n"}
    return Plan(files=files, after=[["true"]])


def test_a_confirmed_change_stays(transaction: Transaction, tmp_path: Path) -> None:
    transaction.start(plan_of_two_files(tmp_path), confirm_seconds=30)
    with pytest.raises(Busy):
        transaction.start(plan_of_two_files(tmp_path), confirm_seconds=30)
    transaction.confirm(lambda: (tmp_path / "new.conf").exists(), timeout_seconds=20)
    assert transaction.state == "confirmed"
    assert (tmp_path / "old.conf").read_text() == "changed\n"


def test_an_unconfirmed_change_is_undone(transaction: Transaction, tmp_path: Path) -> None:
    transaction.start(plan_of_two_files(tmp_path), confirm_seconds=1)
    with pytest.raises(HypervisorError, match="network is as before"):
        transaction.confirm(lambda: False, timeout_seconds=10)
    assert transaction.state == "undone"
    assert (tmp_path / "old.conf").read_text() == "as it was\n"
    assert not (tmp_path / "new.conf").exists()


def test_a_change_that_fails_is_undone(transaction: Transaction, tmp_path: Path) -> None:
    plan = plan_of_two_files(tmp_path)
    plan.after = [["false"]]
    transaction.start(plan, confirm_seconds=30)
    with pytest.raises(HypervisorError, match="could not be carried out"):
        transaction.confirm(lambda: False, timeout_seconds=10)
    assert transaction.state == "failed"
    assert (tmp_path / "old.conf").read_text() == "as it was\n"
    assert not (tmp_path / "new.conf").exists()
