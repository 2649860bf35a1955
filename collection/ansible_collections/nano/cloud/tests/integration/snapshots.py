# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of snapshots on a cell share: bytes in layers, and a guest that is talked to."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ElementTree
from typing import Any

from ansible_collections.nano.cloud.tests.integration.site import (
    REPOSITORY,
    Site,
)

NAMESPACE = "{https://nano-cloud.org/xmlns/guest/1}"
KIB = 1024
# A state of a guest: for each disk, what stands at which offset.
State = list[dict[int, int]]


def paths_of(site: Site, guest_id: str, snapshot: str) -> list[str]:
    """The files that keep a snapshot's disks."""
    root = ElementTree.fromstring(site.shell(f"virsh dumpxml --inactive {guest_id}"))
    found = root.findall(f".//{NAMESPACE}snapshot[@name='{snapshot}']/{NAMESPACE}volume")
    return [f"/var/lib/libvirt/images/{each.get('volume')}" for each in found]


def present_paths(site: Site, guest_id: str) -> list[str]:
    """The files that a guest's disks write to."""
    return [disk["path"] for disk in site.guest(guest_id)["disks"]]


def write(site: Site, guest_id: str, state: State, disk: int, offset_kib: int, byte: int) -> None:
    """Write 128 KiB of one byte into a stopped guest's disk, and note it."""
    path = present_paths(site, guest_id)[disk]
    site.shell(f"qemu-io -f qcow2 -c 'write -q -P {byte} {offset_kib}k 128k' {path}")
    state[disk][offset_kib] = byte


def assert_state(site: Site, paths: list[str], state: State) -> None:
    """The files have just these bytes, and zeros where nothing was written."""
    assert len(paths) == len(state)
    for path, regions in zip(paths, state, strict=True):
        offsets = sorted({0, 512, 1024, 2048, *regions})
        reads = " ".join(f"-c 'read -P {regions.get(at, 0)} {at}k 128k'" for at in offsets)
        told = site.shell(f"qemu-io -U -r -f qcow2 {reads} {path} 2>&1")
        assert "failed" not in told.lower(), (path, regions, told)
        assert told.count("read 131072/131072") == len(offsets), told


def files_of(site: Site, guest_id: str) -> list[str]:
    """The names of a guest's files, without its id."""
    found = site.shell(f"cd /var/lib/libvirt/images && ls | grep {guest_id} || true").split()
    return sorted(name.split("_", 1)[1] for name in found)


def tree_of(site: Site, guest_id: str) -> dict[str, Any]:
    """What snapshot_info returns."""
    found: dict[str, Any] = site.run("snapshot_info", id=guest_id)
    assert "error" not in found, found
    return found


def kill_amid(site: Site, guest_id: str, delay_seconds: float, **options: Any) -> None:
    """Start the module snapshot, and kill it some moments after it has taken the guest's lock."""
    process = subprocess.Popen(
        site.command("snapshot", id=guest_id, **options), cwd=REPOSITORY, stdout=subprocess.DEVNULL
    )
    site.shell(
        f"for i in $(seq 600); do f=/run/lock/nano-cloud/guest-{guest_id}.lock; "
        "p=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p' $f 2>/dev/null); "
        f'if [ -n "$p" ]; then sleep {delay_seconds}; kill -9 $p; break; fi; sleep 0.01; done'
    )
    process.wait(timeout=60)
    site.forget()
