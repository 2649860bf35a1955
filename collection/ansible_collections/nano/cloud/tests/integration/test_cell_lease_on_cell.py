# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease on a real cell: its end ends guests, its return starts them, in between none starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import MIB, Site, wait_for

pytestmark = pytest.mark.lab

POOL, PATH = "leased", "/srv/leased"
LEASE: dict[str, Any] = {"cell": "cell1", "pool": POOL}
LIBVIRT = "libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket"


@pytest.fixture
def leased(site: Site) -> Iterator[Site]:
    """A pool on a file system of its own, as a shared one would be."""
    site.shell(f"mkdir -p {PATH} && mount -t tmpfs -o size=64m tmpfs {PATH}")
    site.run("storage_pool", name=POOL, path=PATH)
    yield site
    site.run("cell_lease", **LEASE, state="released")
    # On a host's own file system the leases' folder counts as one of the pool's volumes.
    gone = site.run("storage_pool", name=POOL, state="absent", force=True)
    site.shell(f"umount {PATH}; rmdir {PATH}")
    assert gone.get("changed"), gone


def writers(site: Site) -> str:
    return site.shell("pgrep -x qemu-system-x86 || true")


def test_a_guest_lives_as_long_as_the_lease(leased: Site, guest_id: str) -> None:
    site = leased
    site.check_then_real_then_again("cell_lease", **LEASE, lease_seconds=8)
    disks = [{"size_bytes": 32 * MIB}]
    guest = {"id": guest_id, "name": f"test.{guest_id[:8]}", "cores": 1, "memory_bytes": 64 * MIB}
    made = site.run("guest", **guest, pool=POOL, disks=disks, auto_start=True)
    assert not made.get("failed"), made
    site.run("guest_power", id=guest_id, state="running")
    copy = f"{PATH}/.nano-cloud/definitions/cell1/{guest_id}.xml"
    wait_for("the copy of the definition", lambda: site.shell(f"grep -c {guest_id} {copy} || true"))
    assert writers(site)

    # The storage goes: the guest is ended when the lease is over, and started when it is back.
    site.shell("systemctl stop nano-cell-lease.service; systemctl start nano-cell-lease.service")
    assert writers(site), "a restart of the unit ends nothing"
    site.shell(f"mv {PATH}/.nano-cloud {PATH}/.gone; touch {PATH}/.nano-cloud")
    wait_for("the guest's end", lambda: not writers(site))
    refused = site.run("guest_power", id=guest_id, state="running")
    assert "no lease on the guest's storage" in refused["msg"]
    site.shell(f"rm {PATH}/.nano-cloud; mv {PATH}/.gone {PATH}/.nano-cloud")
    wait_for("the guest's return", lambda: writers(site))

    # Another host takes the lease back: the cell says itself that its guests are ended.
    revoked = site.check_then_real_then_again("cell_lease", **LEASE, state="revoked")
    assert revoked["lease"]["ended"] == "acknowledged", revoked
    assert writers(site) == ""
    refused = site.run("guest_power", id=guest_id, state="running")
    assert "no lease on the guest's storage" in refused["msg"]

    # The host starts: libvirt's autostart is refused, and done later. The sockets stop too: whoever
    # asks libvirt meanwhile, as an observer does, would start it, and it starts guests only once.
    site.shell(f"systemctl stop nano-cell-lease.service {LIBVIRT}")
    site.shell("rm -r /run/nano-cloud-lease /run/libvirt/qemu/autostarted")
    site.shell(f"systemctl start {LIBVIRT} nano-cell-lease.service")
    wait_for("libvirt's try", lambda: site.shell("ls /run/nano-cloud-lease/refused"))
    assert writers(site) == ""
    site.run("cell_lease", **LEASE, lease_seconds=8)
    wait_for("the guest's start", lambda: writers(site))

    # What was taken over by another host is forgotten here before the lease is granted anew.
    site.run("cell_lease", **LEASE, state="revoked")
    guests = [{"id": guest_id}]
    site.check_then_real_then_again("guest_takeover", pool=POOL, guests=guests, state="left")
    assert site.shell(f"ls {PATH}") == f"{guest_id}_sys.qcow2"
    found = json.loads(site.shell("cat /etc/nano-cloud/lease.json"))
    assert found["lease_seconds"] == 8
    taken = {"pool": POOL, "cell": "cell1", "guests": [{"id": guest_id, "display_port": 5999}]}
    back = site.check_then_real_then_again("guest_takeover", **taken)
    assert back["results"][0]["guest"]["display"]["port"] == 5999
    site.run("guest", id=guest_id, state="absent", force=True)
