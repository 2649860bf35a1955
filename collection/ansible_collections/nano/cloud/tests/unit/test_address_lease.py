# SPDX-License-Identifier: GPL-3.0-or-later
"""Leases: checked, kept in files, and the least that their servers must be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils.errors import Conflict, InvalidInput
from ansible_collections.nano.cloud.plugins.module_utils.lease_files import spare_address
from ansible_collections.nano.cloud.plugins.module_utils.lease_service import (
    DhcpServices,
    LeaseOutcome,
    LeaseService,
)
from ansible_collections.nano.cloud.plugins.module_utils.lease_spec import (
    Lease,
    leases_asked_for,
    macs_to_forget,
)

ONE, TWO = "00:16:3e:00:00:01", "00:16:3e:00:00:02"


class Told(DhcpServices):
    """What would be said to systemd."""

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.calls: list[str] = []

    def check_usable(self) -> None:
        pass

    def runs(self, bridge: str) -> bool:
        return bridge in self.running

    def _call(self, verb: str, bridge: str, *_flags: str) -> None:
        self.calls.append(f"{verb} {bridge}")
        if verb == "restart":
            self.running.add(bridge)
        if verb == "disable":
            self.running.discard(bridge)

    def taken(self) -> list[str]:
        calls, self.calls = self.calls, []
        return calls


class Host:
    """A service with its files in a directory of the test."""

    def __init__(self, folder: Path) -> None:
        self.told = Told()
        self.folder = folder
        self._service = LeaseService(str(folder), self.told, "0123456789abcdef")

    def present(self, *leases: Lease, check_mode: bool = False) -> LeaseOutcome:
        return self._service.ensure_present(leases, check_mode, 1)

    def absent(self, *macs: str) -> LeaseOutcome:
        return self._service.ensure_absent(macs, False, 1)

    def text(self, name: str) -> str:
        return (self.folder / "br0" / name).read_text()


@pytest.fixture
def leases(tmp_path: Path) -> Host:
    return Host(tmp_path / "dhcp")


def lease(mac: str = ONE, address: str = "192.0.2.7/24", **more: Any) -> Lease:
    entry = {"mac": mac, "address": address, **more}
    return leases_asked_for({"leases": [entry]})[0]


def test_made_changed_and_removed(leases: Host) -> None:
    first = lease(gateway="192.0.2.1", dns=["192.0.2.53", "192.0.2.54"])
    assert leases.present(first, check_mode=True).differences.changed
    assert not leases.folder.exists()
    assert leases.present(first).differences.fields == [ONE]
    assert leases.told.taken() == ["enable br0", "restart br0"]
    assert not leases.present(first).differences.changed
    assert leases.told.taken() == []
    assert f"{ONE},set:card-00163e000001,192.0.2.7,12h" in leases.text("hosts")
    options = leases.text("options")
    assert "tag:card-00163e000001,option:router,192.0.2.1\n" in options
    assert "tag:card-00163e000001,option:dns-server,192.0.2.53,192.0.2.54\n" in options
    assert "dhcp-range=192.0.2.0,static,255.255.255.0,12h" in leases.text("dnsmasq.conf")

    both = leases.present(lease(TWO, "192.0.2.8/24"))
    assert [each.mac for each in both.leases] == [ONE, TWO]
    assert leases.told.taken() == ["enable br0", "restart br0"]
    leases.present(lease(TWO, "198.51.100.9/25"))
    assert leases.told.taken() == ["enable br0", "restart br0"]

    assert leases.absent(TWO).differences.changed
    assert not leases.absent(TWO).differences.changed
    assert leases.told.taken() == ["enable br0", "restart br0"]
    assert leases.absent(ONE).leases == []
    assert leases.told.taken() == ["disable br0"]
    assert list(leases.folder.iterdir()) == []


def test_a_lease_moves_to_another_bridge(leases: Host) -> None:
    leases.present(lease(), lease(TWO, "192.0.2.8/24"))
    leases.present(lease(bridge="br1"))
    assert leases.told.running == {"br0", "br1"}
    assert ONE not in leases.text("hosts")


def test_what_somebody_changed_is_put_right(leases: Host) -> None:
    leases.present(lease())
    (leases.folder / "br0/hosts").write_text("")
    again = leases.present(lease())
    assert again.differences.fields == ["server of br0"]
    assert ONE in leases.text("hosts")
    leases.told.running.clear()
    assert leases.present(lease()).differences.changed
    assert leases.told.running == {"br0"}
    assert not leases.present(lease()).differences.changed


def test_one_address_for_one_card(leases: Host) -> None:
    leases.present(lease())
    with pytest.raises(Conflict, match=f"leased to {ONE} and to {TWO}"):
        leases.present(lease(TWO, "192.0.2.7/25"))
    assert TWO not in leases.text("hosts")
    leases.present(lease(TWO, "192.0.2.7/24", bridge="br1"))


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({"mac": "x", "address": "192.0.2.7/24"}, "mac"),
        ({"mac": ONE}, "address"),
        ({"mac": ONE, "address": "192.0.2.7"}, "address"),
        ({"mac": ONE, "address": "192.0.2.255/24"}, "address"),
        ({"mac": ONE, "address": "2001:db8::1/64"}, "address"),
        ({"mac": ONE, "address": "192.0.2.7/24", "gateway": "x"}, "gateway"),
        ({"mac": ONE, "address": "192.0.2.7/24", "dns": ["a\nb"]}, "dns"),
        ({"mac": ONE, "address": "192.0.2.7/24", "bridge": "../x"}, "bridge"),
    ],
)
def test_refused_with_the_name_of_the_option(entry: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=rf"leases\[0\]\.{field}"):
        leases_asked_for({"leases": [entry]})


def test_lists_are_checked() -> None:
    entries = [{"mac": ONE, "address": "192.0.2.7/24"}, {"mac": ONE, "address": "192.0.2.8/24"}]
    with pytest.raises(InvalidInput, match=r"leases\[1\]\.mac"):
        leases_asked_for({"leases": entries})
    assert macs_to_forget({"leases": [{"mac": ONE.upper().replace(":", "-")}]}) == (ONE,)


def test_the_spare_address_is_local_and_the_hosts_own() -> None:
    one, other = spare_address("a", "br0"), spare_address("b", "br0")
    assert one.startswith("169.254.")
    assert one != other
    assert one == spare_address("a", "br0")
