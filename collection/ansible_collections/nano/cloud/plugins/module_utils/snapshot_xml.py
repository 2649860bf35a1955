# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots ↔ XML: the tree in a guest's metadata, and what libvirt is told to freeze. Pure."""

from __future__ import annotations

from typing import List, Mapping, Optional

from .constants import METADATA_URI
from .snapshot_tree import GuestVolume, Snapshot, SnapshotTree
from .xml_tree import Element, add, element, to_text

_TREE = f"{{{METADATA_URI}}}snapshots"
_SNAPSHOT = f"{{{METADATA_URI}}}snapshot"
_VOLUME = f"{{{METADATA_URI}}}volume"
_MEMORY = f"{{{METADATA_URI}}}memory"
_FILLING = f"{{{METADATA_URI}}}filling"
_SPARE = f"{{{METADATA_URI}}}spare"


def read_tree(guest: Element) -> SnapshotTree:
    """The tree in our metadata."""
    tree = guest.find(_TREE)
    if tree is None:
        return SnapshotTree()
    return SnapshotTree(
        snapshots=tuple(_read_snapshot(each) for each in tree.findall(_SNAPSHOT)),
        current=tree.get("current", ""),
        spare=tuple(_read_volumes(tree, _SPARE)),
    )


def _read_snapshot(found: Element) -> Snapshot:
    return Snapshot(
        name=found.get("name", ""),
        parent=found.get("parent", ""),
        description=found.get("description", ""),
        created=int(found.get("created", "0")),
        volumes=tuple(_read_volumes(found, _VOLUME)),
        memory=next(iter(_read_volumes(found, _MEMORY)), None),
        unfinished=found.get("unfinished", ""),
        filling=next(iter(_read_volumes(found, _FILLING)), None),
    )


def _read_volumes(parent: Element, tag: str) -> List[GuestVolume]:
    return [
        GuestVolume(each.get("pool", ""), each.get("volume", "")) for each in parent.findall(tag)
    ]


def write_tree(guest: Element, tree: SnapshotTree) -> None:
    """Append the tree to our metadata; an empty one leaves no trace."""
    if tree == SnapshotTree():
        return
    root = add(guest, _TREE, current=tree.current)
    for snapshot in tree.snapshots:
        new = add(root, _SNAPSHOT, name=snapshot.name)
        new.set("parent", snapshot.parent)
        new.set("description", snapshot.description)
        new.set("created", str(snapshot.created))
        if snapshot.unfinished:
            new.set("unfinished", snapshot.unfinished)
        for volume in snapshot.volumes:
            add(new, _VOLUME, pool=volume.pool, volume=volume.volume)
        if snapshot.memory is not None:
            add(new, _MEMORY, pool=snapshot.memory.pool, volume=snapshot.memory.volume)
        if snapshot.filling is not None:
            add(new, _FILLING, pool=snapshot.filling.pool, volume=snapshot.filling.volume)
    for volume in tree.spare:
        add(root, _SPARE, pool=volume.pool, volume=volume.volume)


def live_snapshot(overlays: Mapping[str, Optional[str]], memory_path: str) -> str:
    """What libvirt is told about a running guest: the file that each disk goes on in.

    ``overlays`` maps all device names to paths; None leaves the device as it is. With
    ``memory_path`` ``""`` the memory is not saved.
    """
    root = element("domainsnapshot")
    memory = add(root, "memory", snapshot="external" if memory_path else "no")
    if memory_path:
        memory.set("file", memory_path)
    disks = add(root, "disks")
    for target, path in overlays.items():
        if path is None:
            add(disks, "disk", name=target, snapshot="no")
            continue
        disk = add(disks, "disk", name=target, snapshot="external", type="file")
        add(disk, "driver", type="qcow2")
        add(disk, "source", file=path)
    return to_text(root)
