# SPDX-License-Identifier: GPL-3.0-or-later
"""UEFI, TPM, security policies and renames on a real cell: real firmware, real swtpm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import (
    MIB,
    Site,
    basis,
    console,
    wait_for,
)

pytestmark = pytest.mark.lab

NVRAM = "/var/lib/libvirt/qemu/nvram"
FILTER = "<filter name='nano-{0}'><filterref filter='allow-arp'/><rule action='{1}' \
direction='in' priority='500'><tcp dstportstart='22'/></rule></filter>"


def small(guest_id: str, **more: Any) -> dict[str, Any]:
    return basis(guest_id, disks=[{"size_bytes": 100 * MIB}], **more)


def firmware_speaks(site: Site, guest_id: str, times: int = 1) -> None:
    """OVMF writes to the serial port that it finds nothing to start."""
    wait_for("UEFI", lambda: console(site, guest_id).count("UEFI Interactive Shell") >= times)


@pytest.fixture
def policies(site: Site) -> Iterator[list[str]]:
    names = ["web", "closed"]
    for name, action in zip(names, ["accept", "drop"], strict=True):
        site.shell(f'echo "{FILTER.format(name, action)}" | virsh nwfilter-define /dev/stdin')
    yield names
    for name in names:
        site.shell(f"virsh nwfilter-undefine nano-{name}")


def test_uefi_with_a_tpm_starts_and_keeps_its_variables(site: Site, guest_id: str) -> None:
    options = small(guest_id, firmware="uefi", tpm=True, auto_start=True, owner="o")
    made = site.check_then_real_then_again("guest", **options)
    assert {key: made["guest"][key] for key in ("firmware", "tpm")} == {
        "firmware": "uefi",
        "tpm": True,
    }
    site.check_then_real_then_again("guest_power", id=guest_id, state="running")
    firmware_speaks(site, guest_id)
    assert site.shell(f"pgrep -fc 'swtpm.*{guest_id}'") != "0"
    refused = site.run("guest", id=guest_id, firmware="bios")
    assert refused["error"]["code"] == "conflict"
    assert "stop it first" in refused["msg"]
    waiting = site.check_then_real_then_again("guest", id=guest_id, tpm=False)
    assert waiting["restart_required"] == ["tpm"]
    site.check_then_real_then_again("guest", id=guest_id, tpm=True)
    site.run("guest_power", id=guest_id, state="stopped", force=True)

    files = site.shell(f"ls {NVRAM}/{guest_id}* -d /var/lib/libvirt/swtpm/{guest_id}").split()
    assert files == [f"{NVRAM}/{guest_id}_VARS.fd", f"/var/lib/libvirt/swtpm/{guest_id}"]
    sums = f"md5sum {NVRAM}/{guest_id}_VARS.fd /var/lib/libvirt/swtpm/{guest_id}/tpm2/tpm2*"
    before = site.shell(sums)
    said = console(site, guest_id)
    new_name = f"renamed.{guest_id[:8]}"
    site.check_then_real_then_again("guest", id=guest_id, name=new_name)
    assert site.shell(sums) == before
    assert console(site, guest_id) == said
    guest = site.guest(guest_id)
    assert (guest["name"], guest["auto_start"], guest["owner"]) == (new_name, True, "o")
    site.run("guest_power", id=guest_id, state="running")
    firmware_speaks(site, guest_id, times=2)
    site.check_then_real_then_again("guest", id=guest_id, state="absent", force=True)


def test_secure_boot_and_back_to_bios(site: Site, guest_id: str) -> None:
    site.run("guest", **small(guest_id, secure_boot=True, firmware="uefi"))
    site.run("guest_power", id=guest_id, state="running")
    wait_for("UEFI", lambda: "BdsDxe" in console(site, guest_id))
    loader = site.shell(f"virsh dumpxml {guest_id} | grep -A9 '<os'")
    assert "ms.fd" in loader, loader
    site.run("guest_power", id=guest_id, state="stopped", force=True)
    site.check_then_real_then_again("guest", id=guest_id, secure_boot=False)
    site.run("guest_power", id=guest_id, state="running")
    firmware_speaks(site, guest_id)
    site.run("guest_power", id=guest_id, state="stopped", force=True)
    assert len(site.shell(f"ls {NVRAM}/{guest_id}*").split()) == 2
    site.check_then_real_then_again("guest", id=guest_id, firmware="bios")
    started = site.run("guest_power", id=guest_id, state="running")
    assert started["guest"]["firmware"] == "bios"
    site.run("guest_power", id=guest_id, state="stopped", force=True)
    site.check_then_real_then_again("guest", id=guest_id, state="absent")


def test_a_bios_guest_becomes_a_uefi_guest(
    site: Site, image: dict[str, Any], guest_id: str
) -> None:
    assert image["ready"]
    site.run("guest", **basis(guest_id))
    site.check_then_real_then_again("guest", id=guest_id, firmware="uefi")
    site.run("guest_power", id=guest_id, state="running")
    wait_for("UEFI", lambda: "BdsDxe" in console(site, guest_id))
    site.run("guest_power", id=guest_id, state="stopped", force=True)
    site.check_then_real_then_again("guest", id=guest_id, firmware="bios")
    site.run("guest_power", id=guest_id, state="running")
    wait_for("guest-ready on the console", lambda: "guest-ready" in console(site, guest_id))


def test_what_the_cell_lacks_is_refused(site: Site, guest_id: str) -> None:
    hidden = "/usr/share/qemu/firmware.hidden"
    site.shell(f"mv /usr/share/qemu/firmware {hidden}; mv /usr/bin/swtpm /usr/bin/swtpm.hidden")
    try:
        for options, what in (({"firmware": "uefi"}, "ovmf"), ({"tpm": True}, "swtpm")):
            refused = site.run("guest", "--check", **small(guest_id, **options))
            assert refused["error"]["code"] == "unsupported"
            assert what in refused["msg"]
    finally:
        site.shell(f"mv {hidden} /usr/share/qemu/firmware; mv /usr/bin/swtpm.hidden /usr/bin/swtpm")
    refused = site.run("guest", **small(guest_id, security_policy="nothing"))
    assert refused["error"]["code"] == "not_found"
    assert "nano-nothing" in refused["msg"]


def test_policy_link_and_memory_change_while_it_runs(
    site: Site, image: dict[str, Any], policies: list[str], guest_id: str
) -> None:
    assert image["ready"]
    web, closed = policies
    site.run("guest", **basis(guest_id, security_policy=web))
    site.run("guest_power", id=guest_id, state="running")
    wait_for("guest-ready on the console", lambda: "guest-ready" in console(site, guest_id))
    rules = "iptables-save | grep -e '--dport 22' || true"
    assert site.shell(rules)
    assert "DROP" not in site.shell(rules)
    # Another change waits for the next start, and must not be in the way of these.
    site.run("guest", id=guest_id, network={"model": "e1000"})
    changed = site.check_then_real_then_again("guest", id=guest_id, security_policy=closed)
    assert changed["restart_required"] == ["network"]
    assert changed.get("warnings", []) == []
    live = f"virsh dumpxml {guest_id} | grep -A12 '<interface'"
    assert "nano-closed" in site.shell(live)
    assert "DROP" in site.shell(rules)
    refused = site.run("guest", id=guest_id, security_policy="nothing")
    assert refused["error"]["code"] == "not_found"
    site.check_then_real_then_again("guest", id=guest_id, security_policy="")
    assert "filterref" not in site.shell(live)
    assert site.shell(rules) == ""
    changed = site.check_then_real_then_again("guest", id=guest_id, network={"link": "down"})
    assert changed["restart_required"] == ["network"]
    assert "state='down'" in site.shell(live)
    site.run("guest", id=guest_id, network={"model": "virtio"})
    assert site.guest(guest_id)["restart_required"] == []
    for option in ({"agent": False}, {"agent": True}, {"tablet": ""}, {"tablet": "virtio"}):
        changed = site.check_then_real_then_again("guest", id=guest_id, **option)
        assert changed["restart_required"] == [], option
        assert changed.get("warnings", []) == []
    changed = site.run("guest", id=guest_id, display={"password": "second"})
    assert changed["restart_required"] == []
    changed = site.check_then_real_then_again("guest", id=guest_id, memory_bytes=96 * MIB)
    target = site.shell(f"virsh qemu-monitor-command {guest_id} --hmp info balloon")
    assert changed["restart_required"] == ([] if "actual=96" in target else ["memory_bytes"])
