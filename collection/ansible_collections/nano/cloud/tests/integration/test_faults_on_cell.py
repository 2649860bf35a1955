# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong in the middle of a module on a cell: undone, or completed by the next run."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import (
    MIB,
    REPOSITORY,
    Site,
    basis,
    wait_for,
)

pytestmark = pytest.mark.lab

POOL, PATH = "tight", "/srv/tight"
TWO_DISKS = [{"size_bytes": 64 * MIB}, {"size_bytes": 32 * MIB}]
#: What the pool's file system needs for itself: its root folder.
ROOT = 1


@pytest.fixture
def tight(site: Site) -> Iterator[Site]:
    """A pool with room for any number of bytes, and as few files as ``let`` says."""
    site.shell(f"mkdir -p {PATH} && mount -t tmpfs -o size=256m,nr_inodes=64 tmpfs {PATH}")
    made = site.run("storage_pool", name=POOL, path=PATH)
    assert not made.get("failed"), made
    yield site
    site.run("storage_pool", name=POOL, state="absent")
    site.shell(f"umount {PATH} && rmdir {PATH}")


def let(site: Site, files: int) -> None:
    """Let the pool have so many files; a file more finds no space, whatever was checked before."""
    site.shell(f"mount -o remount,nr_inodes={files + ROOT} {PATH}")


def files(site: Site) -> list[str]:
    return site.shell(f"ls {PATH}").split()


def begin(site: Site, module: str, guest_id: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start a module; returns when it holds the guest's lock, which is before it makes anything."""
    lock = f"/run/lock/nano-cloud/guest-{guest_id}.lock"
    started = subprocess.Popen(
        site.command(module, id=guest_id, **options), cwd=REPOSITORY, stdout=subprocess.DEVNULL
    )
    site.shell(
        f"for i in $(seq 3000); do grep -q pid {lock} 2> /dev/null && break; sleep 0.01; done; "
        f"grep -q pid {lock}"
    )
    return started


def end(site: Site, started: subprocess.Popen[bytes]) -> None:
    started.wait(timeout=120)
    site.forget()


def test_the_disk_fills_up_in_the_middle(tight: Site, guest_id: str) -> None:
    site = tight
    order = basis(guest_id, pool=POOL, disks=TWO_DISKS, serial_log=False)
    let(site, files=1)
    failed = site.run("guest", **order)
    assert failed["error"]["code"] == "no_space", failed
    assert files(site) == []
    assert site.shell(f"virsh domuuid {order['name']} 2> /dev/null || true") == ""
    let(site, files=2)
    assert site.run("guest", **order)["changed"]
    made = files(site)

    # A snapshot needs a layer for each disk; only the first one finds room.
    let(site, files=3)
    failed = site.run("snapshot", id=guest_id, snapshot="one")
    assert failed["error"]["code"] == "no_space", failed
    assert files(site) == made
    assert site.run("snapshot_info", id=guest_id)["snapshots"] == []
    let(site, files=4)
    assert site.run("snapshot", id=guest_id, snapshot="one")["changed"]
    site.run("snapshot", id=guest_id, snapshot="one", state="absent")

    # Growing a disk writes: its table of clusters becomes longer.
    site.shell(f"head -c 1G /dev/zero > {PATH}/ballast 2> /dev/null || true")
    bigger = [{"size_bytes": 64 * MIB}, {"size_bytes": 128 * MIB}]
    failed = site.run("guest", id=guest_id, disks=bigger)
    assert failed["error"]["code"] == "no_space", failed
    assert "storage pool tight" in failed["msg"]
    assert [disk["size_bytes"] for disk in site.guest(guest_id)["disks"]] == [64 * MIB, 32 * MIB]
    site.shell(f"rm {PATH}/ballast")
    site.check_then_real_then_again("guest", id=guest_id, disks=bigger)
    assert site.run("guest", id=guest_id, state="absent")["changed"]


def test_libvirt_restarts_in_the_middle(site: Site, image: dict[str, Any], guest_id: str) -> None:
    disks = [{"size_bytes": 256 * MIB, "image": image["id"], "full_copy": True}, *TWO_DISKS]
    order = basis(guest_id, disks=disks)
    order.pop("id")
    started = begin(site, "guest", guest_id, **order)
    site.shell("systemctl restart libvirtd")
    end(site, started)
    done = site.run("guest", id=guest_id, **order)
    assert "error" not in done, done
    assert not site.guest(guest_id)["incomplete"]
    assert site.run("guest", id=guest_id, **order).get("changed") is False


def test_the_network_is_lost_in_the_middle(
    site: Site, image: dict[str, Any], guest_id: str
) -> None:
    disks = [{"size_bytes": 256 * MIB, "image": image["id"], "full_copy": True}, *TWO_DISKS]
    order = basis(guest_id, disks=disks)
    order.pop("id")
    started = begin(site, "guest", guest_id, **order)
    site.lab.cut(site.cell.name)
    try:
        end(site, started)
        assert started.returncode != 0, "Ansible did not notice"
    finally:
        site.lab.heal(site.cell.name)
    done = site.run("guest", id=guest_id, **order)
    assert "error" not in done, done
    assert not site.guest(guest_id)["incomplete"]
    assert site.run("guest", id=guest_id, **order).get("changed") is False


def test_somebody_else_ends_the_guest_in_the_middle(site: Site, guest_id: str) -> None:
    """A guest without a system ignores the power button; somebody pulls its plug meanwhile."""
    site.run("guest", **basis(guest_id, disks=TWO_DISKS))
    site.run("guest_power", id=guest_id, state="running")
    started = begin(site, "guest_power", guest_id, state="stopped", timeout_seconds=100)
    site.shell(f"virsh destroy {guest_id}")
    started.wait(timeout=60)
    done = site.result()
    assert not done["failed"], done
    assert done["changed"]
    wait_for("its end", lambda: site.guest(guest_id)["state"] == "stopped")
