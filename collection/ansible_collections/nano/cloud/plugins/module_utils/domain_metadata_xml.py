# SPDX-License-Identifier: BSD-2-Clause
"""Our part of a domain's ``<metadata>``: whose guest it is and what it was made from. Pure.

Everything stands in attributes: libvirt keeps their white space, which it does not do for text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional

from .constants import METADATA_PREFIX, METADATA_URI
from .guest_spec import GuestSpec
from .snapshot_tree import SnapshotTree
from .snapshot_xml import read_tree, write_tree
from .xml_tree import Element, add, child_of, element, register_prefix, to_text

_GUEST = f"{{{METADATA_URI}}}guest"
_DISK = f"{{{METADATA_URI}}}disk"

register_prefix(METADATA_PREFIX, METADATA_URI)


@dataclass(frozen=True)
class GuestMetadata:
    """``images`` maps volume names to image ids; ``disk_bus`` is for disks still to come."""

    owner: str
    group: str
    template: str
    incomplete: bool
    disk_bus: str
    images: Mapping[str, str]
    snapshots: SnapshotTree


def read_metadata(root: Element) -> Optional[GuestMetadata]:
    """Our metadata in a domain; None for a domain that is not managed by us."""
    found = root.find(f"./metadata/{_GUEST}")
    if found is None:
        return None
    return GuestMetadata(
        owner=found.get("owner", ""),
        group=found.get("group", ""),
        template=found.get("template", ""),
        incomplete=found.get("incomplete") == "yes",
        disk_bus=found.get("disk_bus", ""),
        images={
            disk.get("volume", ""): disk.get("image", "")
            for disk in found.findall(_DISK)
            if disk.get("image")
        },
        snapshots=read_tree(found),
    )


def write_metadata(root: Element, spec: GuestSpec) -> None:
    """Replace our metadata; that of others stays."""
    metadata = child_of(root, "metadata")
    for old in metadata.findall(_GUEST):
        metadata.remove(old)
    metadata.append(metadata_element(spec))


def metadata_element(spec: GuestSpec) -> Element:
    """The one element that says all we know about a guest beside its devices."""
    guest = element(
        _GUEST,
        id=spec.id,
        owner=spec.owner,
        group=spec.group,
        template=spec.template,
        disk_bus=spec.disk_bus,
    )
    if spec.incomplete:
        guest.set("incomplete", "yes")
    for disk in spec.disks:
        if disk.image and disk.volume:
            add(guest, _DISK, volume=disk.volume, image=disk.image)
    write_tree(guest, spec.snapshots)
    return guest


def metadata_text(spec: GuestSpec) -> str:
    """The element alone, as libvirt's setMetadata wants it: without our prefix's declaration.

    libvirt adds the declaration itself from the key and the URI that it is given.
    """
    plain = metadata_element(spec)
    for each in plain.iter():
        each.tag = each.tag.split("}", 1)[1]
    return to_text(plain)
