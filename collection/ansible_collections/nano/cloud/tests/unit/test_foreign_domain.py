# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains that other tools made survive every edit of ours."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree
from pathlib import Path
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
    GuestSpec,
)

from .guests import FOREIGN

# As `virt-install --import --print-xml` 4.1.0 wrote it, asked for one of everything.
VIRT_INSTALL = Path(__file__).with_name("virt_install.xml").read_text(encoding="utf-8")
DOCUMENTS = {"by hand": FOREIGN, "virt-install": VIRT_INSTALL}
FOUND = domain_xml.parse(FOREIGN)


def edits(found: GuestSpec) -> dict[str, dict[str, Any]]:
    """One change of each kind."""
    network, display = found.network, found.display
    assert network is not None
    assert display is not None
    return {
        "nothing": {},
        "name": {"name": "here"},
        "cores": {"cores": 8, "topology": guest_defaults.cpu_topology(8)},
        "memory": {"memory_bytes": 2**33},
        "domain_type": {"domain_type": "kvm" if found.domain_type == "qemu" else "qemu"},
        "owner": {"owner": "o", "group": "g", "template": "t"},
        "disk": {"disks": (*found.disks, GuestDisk("default", "x_0.qcow2"))},
        "disk_bus": {"disk_bus": "scsi"},
        "network": {"network": GuestNetwork("br7", "52:54:00:00:00:01", "virtio")},
        "mac": {"network": dataclasses.replace(network, mac="52:54:00:00:00:01")},
        "link": {"network": dataclasses.replace(network, link="down")},
        "security_policy": {"security_policy": "web"},
        "cloud_init": {"cloud_init_pool": "default"},
        "tpm": {"tpm": False},
        "firmware": {"firmware": "bios"},
        "secure_boot": {"secure_boot": True},
        "video": {"video": "virtio"},
        "display": {"display": GuestDisplay("vnc", "::1", 5901, "x")},
        "password": {"display": dataclasses.replace(display, password="x")},
        "usb": {"usb": "nec-xhci"},
        "tablet": {"tablet": "virtio"},
        "agent": {"agent": not found.agent},
        "serial_log": {"serial_log": True},
        "cpu_priority": {"cpu_priority": "low"},
        "disk_limits": {"disk_limits": DiskLimits(write_iops_sec=100)},
        "network_limits": {"network_limits": NetworkLimits(1024, 2048)},
    }


EDITS = {name: edits(domain_xml.parse(text)) for name, text in DOCUMENTS.items()}

# What an edit may touch; everything else must be found again, unchanged.
TOUCHED = {
    "name": {"name"},
    "cores": {"vcpu", "topology", "cpu"},
    "memory": {"memory", "currentMemory"},
    "disk": set(),
    "disk_bus": {"devices/disk/target", "devices/disk/address", "devices/disk"},
    "network": {"devices/interface"},
    "mac": {"devices/interface"},
    "link": {"devices/interface"},
    "security_policy": {"devices/interface"},
    "tpm": {"devices/tpm"},
    "firmware": {"os"},
    "secure_boot": {"os"},
    "video": {"devices/video"},
    "display": {"devices/graphics"},
    "password": {"devices/graphics"},
    "usb": {"devices/controller"},
    "tablet": {"devices/input"},
    "agent": {"devices/channel"},
    "serial_log": {"devices/serial", "devices/console"},
    "cpu_priority": {"cputune"},
    "disk_limits": {"devices/disk"},
    "network_limits": {"devices/interface"},
}
# Of these kinds only one is ours to touch.
KEPT = {"tablet": "keyboard", "agent": "spicevmc", "usb": "scsi", "network": "52:54:00:12:34:57"}


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
    assert (FOUND.cores, FOUND.memory_bytes, FOUND.topology) == (4, 2**31, None)
    assert FOUND.disks == (GuestDisk(path="/srv/elsewhere.qcow2"),)
    assert FOUND.network == GuestNetwork("", "52:54:00:12:34:56", "e1000e")
    assert (FOUND.disk_bus, FOUND.video, FOUND.usb) == ("virtio", "bochs", "")
    assert (FOUND.firmware, FOUND.secure_boot, FOUND.tpm) == ("uefi", False, True)
    assert FOUND.cpu_priority == ""
    assert FOUND.disk_limits == DiskLimits(read_bytes_sec=1000000)
    assert FOUND.network_limits == NetworkLimits(receive_bytes_sec=1000 * 1024)


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
@pytest.mark.parametrize("name", sorted(EDITS["by hand"]))
def test_every_edit_keeps_what_it_does_not_know(name: str, document: str) -> None:
    before = DOCUMENTS[document]
    wanted = dataclasses.replace(domain_xml.parse(before), **EDITS[document][name])
    edited = domain_xml.edit(before, wanted)
    after = pieces(edited)
    for path, text in pieces(before):
        if path not in TOUCHED.get(name, set()) or (name in KEPT and KEPT[name] in text):
            assert (path, text) in after, f"{path} was lost or changed"
    assert domain_xml.parse(edited) == wanted


def test_every_field_of_a_guest_is_edited() -> None:
    edited = {field for changes in EDITS["by hand"].values() for field in changes}
    fields = {field.name for field in dataclasses.fields(GuestSpec)}
    # An id and an architecture are never changed; what we keep in our metadata is ours anyway.
    assert fields - edited == {"id", "arch", "machine", "incomplete", "snapshots"}


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_all_edits_one_after_the_other(document: str) -> None:
    xml = DOCUMENTS[document]
    before = xml
    wanted = domain_xml.parse(xml)
    for name, changes in EDITS[document].items():
        if name != "secure_boot":  # The guest has come to BIOS by then.
            wanted = dataclasses.replace(wanted, **changes)
            xml = domain_xml.edit(xml, wanted)
            assert domain_xml.parse(xml) == wanted
    ours = {path for touched in TOUCHED.values() for path in touched}
    after = pieces(xml)
    kept = [piece for piece in pieces(before) if piece[0] not in ours]
    assert {path for path, _text in kept} >= {
        f"devices/{tag}"
        for tag in ("hostdev", "watchdog", "rng", "sound", "filesystem", "redirdev", "memballoon")
    }
    for piece in kept:
        assert piece in after, piece


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


def test_pinned_processors_and_foreign_tuning_stay() -> None:
    found = domain_xml.parse(VIRT_INSTALL)
    edited = domain_xml.edit(VIRT_INSTALL, dataclasses.replace(found, cpu_priority="low"))
    tuning = ElementTree.fromstring(edited).find("cputune")
    assert tuning is not None
    assert tuning.find("vcpupin[@vcpu='0']") is not None
    assert tuning.find("emulatorpin") is not None
