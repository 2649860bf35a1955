# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest of virt-install, managed on a real cell: libvirt keeps what we do not know."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import GIB, MIB, Site

pytestmark = pytest.mark.lab

FIXTURE = Path(__file__).parents[1] / "unit/virt_install.xml"
GUEST = "0b9c3f5e-2a35-4d6c-8a6d-2f4f1f6a7b8c"
DISK = "/var/lib/libvirt/images/elsewhere.qcow2"
# What only other tools put into a definition.
FOREIGN = (
    "iothreads", "blkiotune", "memoryBacking", "numatune", "resource", "clock", "title",
    "./cputune/vcpupin", "./cputune/emulatorpin", "./cpu/model", "./cpu/feature",
    "./features/kvm/hidden", "./os/bootmenu",
    "./devices/hostdev", "./devices/watchdog", "./devices/rng", "./devices/filesystem",
    "./devices/redirdev", "./devices/sound", "./devices/vsock", "./devices/panic",
    "./devices/memballoon", "./devices/parallel", "./devices/input[@type='keyboard']",
    "./devices/channel[@type='spicevmc']", "./devices/disk/serial", "./devices/disk/driver",
    "./devices/interface/boot/..",
    "{http://libvirt.org/schemas/domain/qemu/1.0}commandline",
)  # fmt: skip


@pytest.fixture
def foreign(site: Site) -> Iterator[None]:
    site.shell(f"qemu-img create -q -f qcow2 {DISK} 1G; virsh pool-refresh default")
    text = FIXTURE.read_text(encoding="utf-8")
    site.shell(f"cat > /tmp/foreign.xml <<'END'\n{text}\nEND\nvirsh define /tmp/foreign.xml")
    yield
    site.shell(f"virsh undefine {GUEST} --nvram 2>/dev/null; rm -f {DISK} /tmp/foreign.xml")
    site.shell("virsh pool-refresh default")


def kept(site: Site) -> dict[str, list[str]]:
    root = ElementTree.fromstring(site.shell(f"virsh dumpxml --inactive {GUEST}"))
    found = {}
    for path in FOREIGN:
        texts = [ElementTree.tostring(each, encoding="unicode") for each in root.findall(path)]
        assert texts, path
        found[path] = [ElementTree.canonicalize(text, strip_text=True) for text in texts]
    return found


@pytest.mark.usefixtures("foreign")
def test_every_edit_keeps_foreign_devices(site: Site) -> None:
    before = kept(site)
    guest = site.guest(GUEST)
    assert (guest["managed"], guest["firmware"], guest["tpm"]) == (False, "uefi", True)
    changes: list[dict[str, Any]] = [
        {"name": "test.here", "owner": "o", "cores": 8, "memory_bytes": GIB},
        {"network": {"mac": "52:54:00:ab:cd:01", "link": "down", "model": "virtio"}},
        {"disks": [{"size_bytes": GIB}, {"size_bytes": 10 * MIB}]},
        {"display": {"password": "other"}, "video": "virtio", "serial_log": True, "agent": False},
        {"usb": "nec-xhci", "tablet": "virtio", "cpu_priority": "low", "auto_start": True},
        {"disk_limits": {"read_iops_sec": 100}, "network_limits": {"send_bytes_sec": 1024000}},
        {"tpm": False},
        {"secure_boot": True},
        {"firmware": "bios"},
        {"disk_bus": "scsi"},
    ]
    for options in changes:
        changed = site.run("guest", id=GUEST, **options)
        assert changed.get("changed"), (options, changed)
        assert site.run("guest", id=GUEST, **options).get("changed") is False, options
        after = kept(site)
        for path, texts in before.items():
            assert all(text in after[path] for text in texts), (options, path)
    site.check_then_real_then_again("guest", id=GUEST, state="absent")
    assert site.shell(f"ls {DISK}") == DISK  # Made by others, so not ours to delete.
