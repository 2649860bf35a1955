# SPDX-License-Identifier: BSD-2-Clause
"""Taking a snapshot: each disk goes on in a new layer, what it wrote until then stays as it is.

Of a stopped guest one new definition does it. Of a running one the definition comes first, marked,
then libvirt changes the layers of all disks at one moment: a guest that stops between the two
finds a layer with nothing in it, which is the same disk.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List, Optional, Tuple

from . import names, volume_xml
from .errors import CloudError, Conflict
from .pool_space import check_space
from .snapshot_guest import SnapshotGuest, settle
from .snapshot_spec import SnapshotRequest
from .snapshot_tree import (
    CREATING,
    GuestVolume,
    Snapshot,
    by_slot,
    next_layer,
    volume_of,
    with_disks_on,
)
from .snapshot_xml import live_snapshot


def new_snapshot(guest: SnapshotGuest, request: SnapshotRequest, created: int) -> Snapshot:
    """The snapshot that is asked for, as it will be; changes nothing."""
    memory: Optional[GuestVolume] = None
    if request.memory:
        name = names.memory_name(guest.spec.id, next_layer(guest.spec))
        memory = GuestVolume(guest.spec.disks[0].pool, name)
    return Snapshot(
        name=request.snapshot,
        parent=guest.tree.current,
        description=request.description or "",
        created=created,
        volumes=tuple(volume_of(disk) for disk in guest.spec.disks),
        memory=memory,
    )


def check_creation(guest: SnapshotGuest, snapshot: Snapshot) -> None:
    """Refuse what cannot work; changes nothing.

    :raises Conflict: the guest's state forbids it.
    :raises NoSpace: a pool has not the room that the new layers may come to need.
    """
    if snapshot.memory is not None and not guest.domain.is_active():
        raise Conflict(
            f"guest {guest.name} is {guest.domain.state()}: only a running guest has memory that "
            f"snapshot {snapshot.name} could keep",
            field="memory",
            guest=guest.name,
            snapshot=snapshot.name,
        )
    live = guest.live_disks()
    for slot, ref in by_slot(guest.spec.id, snapshot.volumes).items():
        if slot in live and live[slot][1] != ref.volume:
            raise Conflict(
                f"guest {guest.name} runs on volume {live[slot][1]} but is defined with "
                f"{ref.volume}: stop it before taking snapshot {snapshot.name}",
                guest=guest.name,
                snapshot=snapshot.name,
            )
    needed: Dict[str, int] = {}
    for ref in snapshot.volumes:
        needed[ref.pool] = needed.get(ref.pool, 0) + guest.info(ref).size_bytes
    if snapshot.memory is not None:
        needed[snapshot.memory.pool] += guest.spec.memory_bytes
    for pool, size in needed.items():
        check_space(guest.host, guest.pool(GuestVolume(pool, "")), size)


def create_snapshot(guest: SnapshotGuest, snapshot: Snapshot) -> None:
    """Take it.

    :raises CloudError: it could not be taken; everything is as it was.
    """
    overlays = _overlays(guest, snapshot)
    new = [over for over, _below in overlays] + ([snapshot.memory] if snapshot.memory else [])
    try:
        guest.save(guest.tree.with_spare(*new))
        for over, below in overlays:
            guest.make_overlay(over, below)
        if snapshot.memory is not None:
            _make_memory(guest, snapshot.memory)
        active = guest.domain.is_active()
        begun = replace(snapshot, unfinished=CREATING if active else "")
        tree = guest.tree.with_snapshot(begun).without_spare(*new)
        layers = by_slot(guest.spec.id, tuple(over for over, _below in overlays))
        guest.save(replace(tree, current=snapshot.name), with_disks_on(guest.spec, layers))
        if active:
            _change_live_layers(guest, snapshot, layers)
            guest.save(guest.tree.with_snapshot(snapshot))
    except BaseException as error:
        _undo(guest, snapshot, error)
        raise


def _overlays(guest: SnapshotGuest, snapshot: Snapshot) -> List[Tuple[GuestVolume, GuestVolume]]:
    layer = next_layer(guest.spec)
    return [
        (GuestVolume(ref.pool, names.layer_name(guest.spec.id, slot, layer)), ref)
        for slot, ref in by_slot(guest.spec.id, snapshot.volumes).items()
    ]


def _make_memory(guest: SnapshotGuest, ref: GuestVolume) -> None:
    """libvirt fills a file that its pool knows, so that it is found when the guest goes."""
    guest.pool(ref).create_volume(volume_xml.build(volume_xml.VolumeSpec(ref.volume, 0, "raw")))


def _change_live_layers(
    guest: SnapshotGuest, snapshot: Snapshot, layers: Dict[str, GuestVolume]
) -> None:
    live = guest.live_disks()
    paths: Dict[str, Optional[str]] = dict.fromkeys(guest.all_live_targets())
    for slot, ref in layers.items():
        if slot in live:
            paths[live[slot][0]] = guest.path(ref)
    memory = guest.path(snapshot.memory) if snapshot.memory else ""
    guest.domain.go_on_in_overlays(live_snapshot(paths, memory), bool(memory))


def _undo(guest: SnapshotGuest, snapshot: Snapshot, error: BaseException) -> None:
    try:
        settle(guest)
    except CloudError as problem:
        if isinstance(error, CloudError):
            error.message += (
                f"; and snapshot {snapshot.name} of guest {guest.name} is left half made, which "
                f"the next change of its snapshots puts right: {problem.message}"
            )
