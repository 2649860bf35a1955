# SPDX-License-Identifier: GPL-3.0-or-later
"""Spec and domain XML, both ways."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from ansible_collections.nano.cloud.plugins.module_utils import domain_xml, xml_tree
from ansible_collections.nano.cloud.plugins.module_utils.constants import MAX_IDE_DISKS
from ansible_collections.nano.cloud.plugins.module_utils.errors import HypervisorError, InvalidInput
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import (
    CpuTopology,
    GuestDisk,
    GuestDisplay,
    GuestNetwork,
    GuestSpec,
)
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_tree import (
    GuestVolume,
    Snapshot,
    SnapshotTree,
)

from .guests import FOREIGN, GUEST_ID, specs, text

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

BASE = GuestSpec(
    id=GUEST_ID,
    name="base",
    cores=2,
    memory_bytes=2**30,
    domain_type="qemu",
    arch="x86_64",
    machine="pc",
    topology=CpuTopology(1, 1, 2),
    disks=(GuestDisk("default", f"{GUEST_ID}_sys.qcow2", "", "debian"),),
    network=GuestNetwork("br0", "00:16:3e:00:00:01", "virtio"),
    firmware="uefi",
    display=GuestDisplay("vnc", "127.0.0.1"),
    usb="nec-xhci",
    tablet="usb",
    agent=True,
    snapshots=SnapshotTree(
        (
            Snapshot(
                "first",
                volumes=(GuestVolume("default", f"{GUEST_ID}_sys.qcow2"),),
                memory=GuestVolume("default", f"{GUEST_ID}_memory.1.save"),
                filling=GuestVolume("default", f"{GUEST_ID}_sys.1.qcow2"),
            ),
        ),
        "first",
        (GuestVolume("default", f"{GUEST_ID}_sys.2.qcow2"),),
    ),
)

# One other value for each field, nested ones by dotted names.
OTHERS: dict[str, Any] = {
    "id": "0b9c3f5e-2a35-4d6c-8a6d-2f4f1f6a7b8c",
    "name": "other",
    "cores": 4,
    "memory_bytes": 2**31,
    "domain_type": "kvm",
    "arch": "aarch64",
    "machine": "pc-i440fx-7.2",
    "owner": "o",
    "group": "g",
    "template": "t",
    "incomplete": True,
    "topology.sockets": 2,
    "topology.cores": 2,
    "topology.threads": 1,
    "disks": (*BASE.disks, GuestDisk("default", f"{GUEST_ID}_0.qcow2")),
    "disks.0.pool": "fast",
    "disks.0.volume": "other.qcow2",
    "disks.0.path": "",  # of foreign disks only, see the test of foreign domains
    "disks.0.image": "other",
    "disk_bus": "sata",
    "network.bridge": "br1",
    "network.mac": "00:16:3e:00:00:02",
    "network.model": "e1000",
    "network.link": "down",
    "security_policy": "web",
    "cloud_init_pool": "fast",
    "firmware": "bios",
    "secure_boot": True,
    "tpm": True,
    "video": "qxl",
    "display.protocol": "spice",
    "display.listen": "::1",
    "display.port": 5901,
    "display.password": "x",
    "usb": "",
    "tablet": "virtio",
    "agent": False,
    "serial_log": True,
    "cpu_priority": "low",
    "disk_limits.read_bytes_sec": 1,
    "disk_limits.write_bytes_sec": 2,
    "disk_limits.read_iops_sec": 3,
    "disk_limits.write_iops_sec": 4,
    "network_limits.receive_bytes_sec": 1024,
    "network_limits.send_bytes_sec": 2048,
    "snapshots.snapshots": (),
    "snapshots.snapshots.0.name": "枝 <1>",
    "snapshots.snapshots.0.parent": "p",
    "snapshots.snapshots.0.description": "d",
    "snapshots.snapshots.0.created": 7,
    "snapshots.snapshots.0.volumes": (),
    "snapshots.snapshots.0.volumes.0.pool": "fast",
    "snapshots.snapshots.0.volumes.0.volume": "other.qcow2",
    "snapshots.snapshots.0.memory.pool": "fast",
    "snapshots.snapshots.0.memory.volume": "other.save",
    "snapshots.snapshots.0.unfinished": "deleting",
    "snapshots.snapshots.0.filling.pool": "fast",
    "snapshots.snapshots.0.filling.volume": "other.qcow2",
    "snapshots.current": "",
    "snapshots.spare": (),
    "snapshots.spare.0.pool": "fast",
    "snapshots.spare.0.volume": "other.qcow2",
}
FOREIGN_ONLY = {"disks.0.path"}


def leaf_fields(value: Any, prefix: str = "") -> list[str]:
    found = []
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            found += leaf_fields(inner, f"{prefix}{field.name}.")
        elif isinstance(inner, tuple):
            found.append(prefix + field.name)
            found += leaf_fields(inner[0], f"{prefix}{field.name}.0.")
        else:
            found.append(prefix + field.name)
    return found


def with_field(spec: Any, path: str, value: Any) -> Any:
    name, _, rest = path.partition(".")
    if not rest:
        return dataclasses.replace(spec, **{name: value})
    inner = getattr(spec, name)
    if isinstance(inner, tuple):
        first = with_field(inner[0], rest.removeprefix("0."), value)
        return dataclasses.replace(spec, **{name: (first, *inner[1:])})
    return dataclasses.replace(spec, **{name: with_field(inner, rest, value)})


@quick
@given(specs())
@example(BASE)
def test_what_was_built_is_read_back(spec: GuestSpec) -> None:
    assert domain_xml.parse(domain_xml.build(spec)) == spec


@quick
@given(specs(), specs())
def test_any_spec_can_be_edited_into_another(old: GuestSpec, new: GuestSpec) -> None:
    # Disks are added or get other files.
    disks = new.disks + old.disks[len(new.disks) :]
    wanted = dataclasses.replace(new, id=old.id, arch=old.arch, disks=disks)
    if wanted.disk_bus == "ide" and len(wanted.disks) > MAX_IDE_DISKS:
        with pytest.raises(InvalidInput, match="no place left"):
            domain_xml.edit(domain_xml.build(old), wanted)
        return
    edited = domain_xml.edit(domain_xml.build(old), wanted)
    assert domain_xml.parse(edited) == wanted
    assert domain_xml.edit(edited, wanted) == edited


def test_every_field_is_tried() -> None:
    assert sorted(leaf_fields(BASE)) == sorted(OTHERS)


@pytest.mark.parametrize("field", sorted(set(OTHERS) - FOREIGN_ONLY))
def test_every_field_reaches_the_xml(field: str) -> None:
    changed = with_field(BASE, field, OTHERS[field])
    assert changed != BASE
    assert domain_xml.build(changed) != domain_xml.build(BASE)
    assert domain_xml.parse(domain_xml.build(changed)) == changed


def shape(xml: str) -> Counter[str]:
    return Counter(element.tag for element in ElementTree.fromstring(xml).iter())


@quick
@given(text(), text(), text())
@example("</nano:guest><disk/>", '"/><hostdev/><x y="', "]]><!-- &lt;")
def test_hostile_text_stays_text(owner: str, group: str, template: str) -> None:
    spec = dataclasses.replace(BASE, owner=owner, group=group, template=template)
    xml = domain_xml.build(spec)
    assert shape(xml) == shape(domain_xml.build(BASE))
    assert domain_xml.parse(xml) == spec


def test_documents_with_entities_are_refused() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><domain><name>&b;</name></domain>'
    with pytest.raises(HypervisorError, match="entities"):
        domain_xml.parse(bomb)
    with pytest.raises(HypervisorError, match="cannot be parsed"):
        domain_xml.parse("<domain>")


@pytest.mark.parametrize(
    ("unit", "amount", "expected"),
    [("KiB", "1024", 2**20), ("b", "1048576", 2**20), ("MB", "1", 10**6), ("G", "2", 2**31)],
)
def test_units_of_memory(unit: str, amount: str, expected: int) -> None:
    xml = f"<domain><memory unit='{unit}'>{amount}</memory></domain>"
    assert domain_xml.parse(xml).memory_bytes == expected


def test_scsi_disks_get_a_controller_that_guests_know() -> None:
    root = ElementTree.fromstring(domain_xml.build(BASE))
    assert root.find("./devices/controller[@type='scsi'][@model='virtio-scsi']") is not None


def test_no_two_disks_share_a_name() -> None:
    for machine in ("pc", "pc-q35-7.2", "virt"):
        disks = tuple(GuestDisk("default", f"v{index}") for index in range(6))
        spec = dataclasses.replace(BASE, machine=machine, disk_bus="sata", disks=disks)
        root = ElementTree.fromstring(domain_xml.build(spec))
        targets = [each.get("dev") for each in root.findall("./devices/disk/target")]
        assert len(targets) == len(set(targets)) == 7


def test_facts_beside_the_spec() -> None:
    facts = domain_xml.facts(domain_xml.build(dataclasses.replace(BASE, display=None)))
    assert facts.managed
    assert facts.disk_targets == ("sda",)
    assert facts.display_port is None
    assert not domain_xml.facts(FOREIGN).managed
    assert domain_xml.macs(FOREIGN) == ["52:54:00:12:34:56", "52:54:00:12:34:57"]
    assert ("/srv/elsewhere.qcow2", "", "") in domain_xml.referenced_files(FOREIGN)


def test_single_devices_for_live_changes() -> None:
    xml = domain_xml.build(BASE)
    assert domain_xml.parse(f"<d><devices>{domain_xml.disk_xml(xml, 0)}</devices></d>").disks
    assert "br0" in domain_xml.network_xml(xml)
    assert "vnc" in domain_xml.display_xml(xml)


def test_prefixes_of_others_are_kept() -> None:
    text_again = xml_tree.to_text(xml_tree.parse_xml(FOREIGN, keep_prefixes=True))
    assert "<libosinfo:os " in text_again
    assert "<qemu:arg " in text_again
