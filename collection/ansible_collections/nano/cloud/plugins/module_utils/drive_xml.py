# SPDX-License-Identifier: BSD-2-Clause
"""A guest's CD drive in its domain XML: what is in it, and another medium or none. Pure."""

from __future__ import annotations

from typing import Optional, Tuple

from .xml_tree import Element, add, attribute_of, parse_xml, remove_all, to_text

# The drive with this medium is cloud-init's, not the user's.
_SEED_SUFFIX = "_seed.iso"


def medium(xml: str) -> Optional[str]:
    """The path (or pool/volume) of what is in the user's drive, ``""`` for nothing.

    None when the guest has no such drive.
    """
    drive = _drive(parse_xml(xml))
    return None if drive is None else _source(drive)


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
        if not _source(drive).endswith(_SEED_SUFFIX):
            return drive
    return None


def _source(drive: Element) -> str:
    file = attribute_of(drive, "source", "file")
    volume = attribute_of(drive, "source", "volume")
    return file or (f"{attribute_of(drive, 'source', 'pool')}/{volume}" if volume else "")
