# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain that other tools made survives every edit of ours."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import domain_xml, guest_defaults
from ansible_collections.nano.cloud.plugins.module_utils.guest_limits_spec import (
    DiskLimits,
    NetworkLimits,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import (
    CpuTopology,
    GuestDisk,
    GuestDisplay,
    GuestNetwork,
)

from .guests import FOREIGN

FOUND = domain_xml.parse(FOREIGN)

EDITS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "name": {"name": "here"},
    "cores": {"cores": 8, "topology": guest_defaults.cpu_topology(8)},
    "memory": {"memory_bytes": 2**33},
    "domain_type": {"domain_type": "qemu"},
    "owner": {"owner": "o", "group": "g", "template": "t"},
    "disk": {"disks": (*FOUND.disks, GuestDisk("default", "x_0.qcow2"))},
    "disk_bus": {"disk_bus": "scsi"},
    "network": {"network": GuestNetwork("br7", "52:54:00:00:00:01", "virtio")},
    "mac": {"network": GuestNetwork("", "52:54:00:00:00:01", "e1000e")},
    "video": {"video": "virtio"},
    "display": {"display": GuestDisplay("vnc", "::1", 5901, "x")},
    "password": {"display": GuestDisplay("spice", "127.0.0.1", None, "x")},
    "usb": {"usb": "nec-xhci"},
    "tablet": {"tablet": "usb"},
    "agent": {"agent": True},
    "serial_log": {"serial_log": True},
    "cpu_priority": {"cpu_priority": "low"},
    "disk_limits": {"disk_limits": DiskLimits(write_iops_sec=100)},
    "network_limits": {"network_limits": NetworkLimits(1024, 2048)},
}

# What an edit may touch; everything else must be found again, unchanged.
TOUCHED = {
    "name": {"name"},
    "cores": {"vcpu", "topology", "cpu"},
    "memory": {"memory", "currentMemory"},
    "disk": {"devices/disk"},
    "disk_bus": {"devices/disk/target", "devices/disk/address", "devices/disk"},
    "network": {"devices/interface"},
    "mac": {"devices/interface"},
    "video": {"devices/video"},
    "display": {"devices/graphics"},
    "password": {"devices/graphics"},
    "usb": {"devices/controller"},
    "serial_log": {"devices/serial", "devices/console"},
    "cpu_priority": {"cputune"},
    "disk_limits": {"devices/disk"},
    "network_limits": {"devices/interface"},
}


def pieces(xml: str) -> list[tuple[str, str]]:
    """(path, canonical text) of every second and third level element."""
    root = ElementTree.fromstring(xml)
    found = []
    for child in root:
        inner = list(child) if child.tag in ("devices", "metadata") else [child]
        for element in inner:
            path = element.tag if element is child else f"{child.tag}/{element.tag}"
            text = ElementTree.tostring(element, encoding="unicode")
            found.append((path, ElementTree.canonicalize(text, strip_text=True)))
    return found


def test_it_is_read() -> None:
    assert (FOUND.cores, FOUND.memory_bytes, FOUND.topology) == (4, 2**32, None)
    assert FOUND.disks == (GuestDisk(path="/srv/elsewhere.qcow2"),)
    assert FOUND.network == GuestNetwork("", "52:54:00:12:34:56", "e1000e")
    assert (FOUND.disk_bus, FOUND.video, FOUND.usb) == ("virtio", "bochs", "")
    assert FOUND.cpu_priority == ""
    assert FOUND.disk_limits == DiskLimits(read_bytes_sec=1000000)
    assert FOUND.network_limits == NetworkLimits(receive_bytes_sec=1000 * 1024)


@pytest.mark.parametrize("name", sorted(EDITS))
def test_every_edit_keeps_what_it_does_not_know(name: str) -> None:
    wanted = dataclasses.replace(FOUND, **EDITS[name])
    edited = domain_xml.edit(FOREIGN, wanted)
    after = pieces(edited)
    for path, text in pieces(FOREIGN):
        if path not in TOUCHED.get(name, set()):
            assert (path, text) in after, f"{path} was lost or changed"
    assert domain_xml.parse(edited) == wanted


def test_all_edits_one_after_the_other() -> None:
    xml, wanted = FOREIGN, FOUND
    for changes in EDITS.values():
        wanted = dataclasses.replace(wanted, **changes)
        xml = domain_xml.edit(xml, wanted)
        assert domain_xml.parse(xml) == wanted
    for tag in ("hostdev", "watchdog", "rng", "tpm", "sound", "filesystem", "redirdev"):
        assert f"<{tag} " in xml
    for text in ("Skylake-Server", "numatune", "hugepages", "qemu:arg", "libosinfo:os"):
        assert text in xml


def test_an_edited_disk_keeps_its_driver_limits_and_serial() -> None:
    edited = domain_xml.edit(FOREIGN, dataclasses.replace(FOUND, disk_bus="scsi"))
    disk = ElementTree.fromstring(edited).find("./devices/disk")
    assert disk is not None
    assert disk.find("iotune/read_bytes_sec") is not None
    assert disk.findtext("serial") == "WD-1234"
    assert disk.find("driver[@cache='none']") is not None


def test_cores_keep_the_cpu_model() -> None:
    wanted = dataclasses.replace(FOUND, cores=2, topology=CpuTopology(1, 1, 2))
    cpu = ElementTree.fromstring(domain_xml.edit(FOREIGN, wanted)).find("cpu")
    assert cpu is not None
    assert cpu.findtext("model") == "Skylake-Server"
    assert cpu.find("topology[@threads='2']") is not None
