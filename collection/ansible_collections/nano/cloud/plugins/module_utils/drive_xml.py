# SPDX-License-Identifier: BSD-2-Clause
"""A guest's CD drives in its domain XML. Pure.

One is the user's, with a medium or none; a second one has the medium that cloud-init reads.
"""

from __future__ import annotations

import os
from typing import Optional, Tuple

from .domain_devices_xml import free_target, insert_after_last
from .guest_spec import GuestSpec
from .names import cloud_init_volume_name
from .xml_tree import Element, add, attribute_of, child_of, element, parse_xml, remove_all, to_text

# The drive with this medium is cloud-init's, not the user's.
_CLOUD_INIT_SUFFIX = cloud_init_volume_name("")


def medium(xml: str) -> Optional[str]:
    """The path (or pool/volume) of what is in the user's drive, ``""`` for nothing.

    None when the guest has no such drive.
    """
    drive = _drive(parse_xml(xml))
    return None if drive is None else _source(drive)


def medium_name(xml: str) -> Optional[str]:
    """The image's id, for a medium that has one; else its path; None for nothing."""
    return known_as(medium(xml) or "")


def known_as(path: str) -> Optional[str]:
    """What a medium's path is called: the image's id where it has one; None for nothing."""
    if not path:
        return None
    name = os.path.basename(path)
    return name[: -len(".iso")] if name.endswith(".iso") else path


def with_medium(xml: str, path: str) -> Tuple[str, str]:
    """(the domain's XML, the drive's own XML) with that file in the drive, ``""`` for nothing.

    :raises ValueError: the guest has no drive; ask ``medium`` first
    """
    root = parse_xml(xml, keep_prefixes=True)
    drive = _drive(root)
    if drive is None:
        raise ValueError("the guest has no CD drive")
    # What libvirt adds to a medium of a running guest belongs to that medium.
    for tag in ("source", "backingStore"):
        remove_all(drive, tag)
    drive.set("type", "file")
    if path:
        add(drive, "source", file=path)
    return to_text(root), to_text(drive)


def _drive(root: Element) -> Optional[Element]:
    for drive in root.findall("./devices/disk[@device='cdrom']"):
        if not _source(drive).endswith(_CLOUD_INIT_SUFFIX):
            return drive
    return None


def _source(drive: Element) -> str:
    file = attribute_of(drive, "source", "file")
    volume = attribute_of(drive, "source", "volume")
    return file or (f"{attribute_of(drive, 'source', 'pool')}/{volume}" if volume else "")


def read_cloud_init(root: Element, guest_id: str) -> str:
    """The pool of the medium that cloud-init reads, ``""`` without one."""
    drive = _cloud_init_drive(root, guest_id)
    return "" if drive is None else attribute_of(drive, "source", "pool")


def write_cloud_init(root: Element, wanted: GuestSpec, bus: str) -> None:
    """Have a second drive with cloud-init's medium, or none."""
    devices, drive = child_of(root, "devices"), _cloud_init_drive(root, wanted.id)
    if drive is not None:
        devices.remove(drive)
    if not wanted.cloud_init_pool:
        return
    drive = element("disk", type="volume", device="cdrom")
    add(drive, "driver", name="qemu", type="raw")
    volume = cloud_init_volume_name(wanted.id)
    add(drive, "source", pool=wanted.cloud_init_pool, volume=volume)
    add(drive, "target", dev=free_target(root, bus, first=0), bus=bus)
    add(drive, "readonly")
    insert_after_last(devices, "disk", drive)


def _cloud_init_drive(root: Element, guest_id: str) -> Optional[Element]:
    for drive in root.findall("./devices/disk[@device='cdrom']"):
        if attribute_of(drive, "source", "volume") == cloud_init_volume_name(guest_id):
            return drive
    return None
