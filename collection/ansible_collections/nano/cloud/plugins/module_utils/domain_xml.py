# SPDX-License-Identifier: BSD-2-Clause
"""Guest spec ↔ domain XML: build, parse, edit. Pure mechanism; choices are made elsewhere.

``edit`` changes what differs between the XML and the spec and nothing else: elements that we do
not know (host devices, CPU models, NUMA, watchdogs…) stay.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import List, Mapping, Optional, Tuple

from . import domain_devices_xml as devices
from . import domain_firmware_xml as firmware
from . import domain_limits_xml as limits
from . import drive_xml
from .constants import KIB
from .domain_metadata_xml import read_metadata, write_metadata
from .guest_spec import CpuTopology, GuestDisk, GuestSpec, has_ide
from .names import disk_slot
from .snapshot_tree import NO_SNAPSHOTS
from .xml_tree import (
    Element,
    add,
    attribute_of,
    child_of,
    element,
    parse_xml,
    remove_all,
    set_text,
    text_of,
    to_text,
)

_UNITS = {"": 1024, "b": 1, "bytes": 1, "kb": 1000, "k": 1024, "kib": 1024}
_UNITS.update({"mb": 1000**2, "m": 1024**2, "mib": 1024**2})
_UNITS.update({"gb": 1000**3, "g": 1024**3, "gib": 1024**3})
_UNITS.update({"tb": 1000**4, "t": 1024**4, "tib": 1024**4})


@dataclass(frozen=True)
class DomainFacts:
    """What a domain's XML tells beside the spec.

    ``memory_limit_bytes``: what the guest can have without a restart; it has ``memory_bytes``.
    ``agent_connected``: whether somebody inside the running guest listens on the agent's channel.
    """

    managed: bool
    display_port: Optional[int]
    disk_targets: Tuple[str, ...]
    memory_limit_bytes: int
    agent_connected: bool


def build(spec: GuestSpec) -> str:
    """The XML of a new domain."""
    root = element("domain", type=spec.domain_type)
    for tag in ("name", "uuid", "metadata", "memory", "currentMemory", "vcpu"):
        add(root, tag)
    set_text(root, "uuid", spec.id)
    firmware.add_machine(root, spec)
    add(root, "devices")
    devices.add_cdrom(root, _cdrom_bus(spec.machine))
    _write(root, spec, None)
    devices.add_serial_console(root)
    devices.write_serial_log(root, spec.serial_log, spec.id)
    balloon = add(child_of(root, "devices"), "memballoon", model="virtio")
    add(balloon, "stats", period="2")
    return to_text(root)


def parse(xml: str) -> GuestSpec:
    """The spec that a domain's XML stands for; foreign domains too.

    :raises HypervisorError: not XML.
    """
    return _read(parse_xml(xml))


def parse_with_facts(xml: str) -> Tuple[GuestSpec, DomainFacts]:
    """The spec, and what the XML tells beside it; the XML is read once."""
    root = parse_xml(xml)
    return _read(root), _facts(root)


def facts(xml: str) -> DomainFacts:
    """Whether the domain is ours, its display's port, its disks' device names in order."""
    return _facts(parse_xml(xml))


def _facts(root: Element) -> DomainFacts:
    targets = [attribute_of(disk, "target", "dev") for disk in devices.disk_elements(root)]
    return DomainFacts(
        managed=read_metadata(root) is not None,
        display_port=devices.display_port(root),
        disk_targets=tuple(targets),
        memory_limit_bytes=_memory_bytes(root, "memory"),
        agent_connected=any(
            attribute_of(channel, "target", "state") == "connected"
            for channel in devices.agent_channels(root)
        ),
    )


def edit(xml: str, wanted: GuestSpec) -> str:
    """The XML changed so that it parses to ``wanted``.

    Read the XML with secrets (VIR_DOMAIN_XML_SECURE), or passwords are lost by writing it back.
    """
    root = parse_xml(xml, keep_prefixes=True)
    _write(root, wanted, _read(root))
    return to_text(root)


def disk_xml(xml: str, index: int) -> str:
    """The element of one disk, for attaching it to a running domain."""
    return to_text(devices.disk_elements(parse_xml(xml))[index])


def without_disk(xml: str, index: int) -> str:
    """The domain's XML without one of its disks."""
    root = parse_xml(xml, keep_prefixes=True)
    spec = _read(root)
    child_of(root, "devices").remove(devices.disk_elements(root)[index])
    write_metadata(root, replace(spec, disks=spec.disks[:index] + spec.disks[index + 1 :]))
    return to_text(root)


def network_xml(xml: str) -> str:
    """The element of the first network card, for updating a running domain."""
    return _device_text(xml, "interface")


def display_xml(xml: str) -> str:
    """The element of the first display, for updating a running domain."""
    return _device_text(xml, "graphics")


def agent_xml(xml: str) -> str:
    """The element of the channel to the guest agent, ``""`` for none."""
    channels = devices.agent_channels(parse_xml(xml))
    return to_text(channels[0]) if channels else ""


def agent_connected(xml: str) -> Optional[bool]:
    """Of a running guest, whether an agent has opened its channel; None: there is no channel."""
    channels = devices.agent_channels(parse_xml(xml))
    if not channels:
        return None
    return any(attribute_of(each, "target", "state") == "connected" for each in channels)


def tablet_xml(xml: str) -> str:
    """The element of the tablet, ``""`` for none."""
    return _device_text(xml, "input[@type='tablet']")


def has_numa_cells(xml: str) -> bool:
    """Whether its memory is divided among cells, from whose sizes libvirt makes the sum."""
    return parse_xml(xml).find("./cpu/numa/cell") is not None


def referenced_files(xml: str) -> List[Tuple[str, str, str]]:
    """Every disk and medium that a domain uses: (path, pool, volume), ``""`` where unknown."""
    found = []
    for source in parse_xml(xml).findall("./devices/disk//source"):
        path = source.get("file") or source.get("dev") or ""
        found.append((path, source.get("pool", ""), source.get("volume", "")))
    return found


def on_volumes(saved: str, spec: GuestSpec, volumes: Mapping[str, Tuple[str, str]]) -> str:
    """The definition in a saved memory, for going on with it on other volumes and by now's name.

    ``volumes`` maps the slots of disks to pools and volumes; devices stay as the memory knows them.
    """
    root = parse_xml(saved, keep_prefixes=True)
    set_text(root, "name", spec.name)
    write_metadata(root, spec)
    for disk, known in zip(devices.disk_elements(root), devices.read_disks(root, {})):
        slot = disk_slot(spec.id, known.volume or os.path.basename(known.path))
        if slot is not None and slot in volumes:
            pool, volume = volumes[slot]
            devices.set_source(disk, GuestDisk(pool, volume))
    return to_text(root)


def drive_names(xml: str) -> List[str]:
    """The device names of all disks and drives."""
    return [each.get("dev", "") for each in parse_xml(xml).findall("./devices/disk/target")]


def inserted_media(xml: str) -> List[Tuple[str, str, str]]:
    """The media in CD drives, as ``referenced_files`` tells them."""
    drives = parse_xml(xml).findall("./devices/disk[@device='cdrom']/source")
    return [(each.get("file", ""), each.get("pool", ""), each.get("volume", "")) for each in drives]


def nvram_path(xml: str) -> str:
    """The file of a UEFI guest's variables, ``""`` for BIOS."""
    return text_of(parse_xml(xml), "./os/nvram")


def filters(xml: str) -> List[str]:
    """The network filters of all network cards."""
    found = parse_xml(xml).findall("./devices/interface/filterref")
    return [each.get("filter", "") for each in found]


def macs(xml: str) -> List[str]:
    """The MAC addresses of all network cards, lower case."""
    return [
        (mac.get("address") or "").lower()
        for mac in parse_xml(xml).findall("./devices/interface/mac")
    ]


def _device_text(xml: str, tag: str) -> str:
    device = parse_xml(xml).find(f"./devices/{tag}")
    return "" if device is None else to_text(device)


def _cdrom_bus(machine: str) -> str:
    if has_ide(machine):
        return "ide"
    return "sata" if "q35" in machine else "scsi"


def _read(root: Element) -> GuestSpec:
    metadata = read_metadata(root)
    return GuestSpec(
        id=text_of(root, "uuid"),
        name=root.findtext("name") or "",
        cores=int(text_of(root, "vcpu") or "1"),
        memory_bytes=_memory_bytes(root, "currentMemory") or _memory_bytes(root, "memory"),
        domain_type=root.get("type", ""),
        arch=attribute_of(root, "./os/type", "arch"),
        machine=attribute_of(root, "./os/type", "machine"),
        owner=metadata.owner if metadata else "",
        group=metadata.group if metadata else "",
        template=metadata.template if metadata else "",
        incomplete=metadata.incomplete if metadata else False,
        topology=_read_topology(root),
        disks=devices.read_disks(root, metadata.images if metadata else {}),
        disk_bus=devices.read_disk_bus(root, (metadata.disk_bus if metadata else "") or "scsi"),
        network=devices.read_network(root),
        security_policy=devices.read_policy(root),
        cloud_init_pool=drive_xml.read_cloud_init(root, text_of(root, "uuid")),
        firmware=firmware.read_firmware(root),
        secure_boot=firmware.read_secure_boot(root),
        tpm=firmware.read_tpm(root),
        video=devices.read_video(root),
        display=devices.read_display(root),
        usb=devices.read_usb(root),
        tablet=devices.read_tablet(root),
        agent=devices.read_agent(root),
        serial_log=devices.read_serial_log(root),
        cpu_priority=limits.read_cpu_priority(root),
        disk_limits=limits.read_disk_limits(root),
        network_limits=limits.read_network_limits(root),
        snapshots=metadata.snapshots if metadata else NO_SNAPSHOTS,
    )


def _memory_bytes(root: Element, tag: str) -> int:
    unit = attribute_of(root, tag, "unit").lower()
    return int(text_of(root, tag) or "0") * _UNITS.get(unit, KIB)


def _read_topology(root: Element) -> Optional[CpuTopology]:
    found = root.find("./cpu/topology")
    if found is None:
        return None
    sockets, cores, threads = (int(found.get(n, "1")) for n in ("sockets", "cores", "threads"))
    return CpuTopology(sockets, cores, threads)


def _write(root: Element, wanted: GuestSpec, found: Optional[GuestSpec]) -> None:
    """Write every part that differs; with ``found`` None, every part."""
    if found is None or wanted.name != found.name:
        set_text(root, "name", wanted.name)
    if found is None or wanted.domain_type != found.domain_type:
        root.set("type", wanted.domain_type)
    if found is None or wanted.memory_bytes != found.memory_bytes:
        kibibytes = str(wanted.memory_bytes // KIB)
        set_text(root, "memory", kibibytes, unit="KiB")
        set_text(root, "currentMemory", kibibytes, unit="KiB")
    if found is None or (wanted.cores, wanted.topology) != (found.cores, found.topology):
        _write_cores(root, wanted)
    write_metadata(root, wanted)
    if found is not None:
        firmware.write_machine(root, wanted, found)
    firmware.write_firmware(root, wanted, found)
    devices.write_disks(root, wanted, found)
    if wanted.cloud_init_pool != (found.cloud_init_pool if found else ""):
        drive_xml.write_cloud_init(root, wanted, _cdrom_bus(wanted.machine))
    if found is None or wanted.usb != found.usb:
        devices.write_usb(root, wanted.usb)
    devices.write_network(root, wanted.network, found.network if found else None)
    if wanted.security_policy != (found.security_policy if found else ""):
        devices.write_policy(root, wanted.security_policy)
    if wanted.tpm != (found.tpm if found else False):
        firmware.write_tpm(root, wanted)
    if found is None or wanted.agent != found.agent:
        devices.write_agent(root, wanted.agent)
    if found is None or wanted.tablet != found.tablet:
        devices.write_tablet(root, wanted.tablet)
    devices.write_display(root, wanted.display, found.display if found else None)
    if found is None or wanted.video != found.video:
        devices.write_video(root, wanted.video)
    if found is not None and wanted.serial_log != found.serial_log:
        devices.write_serial_log(root, wanted.serial_log, wanted.id)
    limits.write_limits(root, wanted, found)


def _write_cores(root: Element, wanted: GuestSpec) -> None:
    set_text(root, "vcpu", str(wanted.cores), placement="static")
    # A list of single vCPUs would contradict the new number.
    remove_all(root, "vcpus")
    cpu = child_of(root, "cpu")
    remove_all(cpu, "topology")
    if wanted.topology is not None:
        add(
            cpu,
            "topology",
            sockets=str(wanted.topology.sockets),
            cores=str(wanted.topology.cores),
            threads=str(wanted.topology.threads),
        )
