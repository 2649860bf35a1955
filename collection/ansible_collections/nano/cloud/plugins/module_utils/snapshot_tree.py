# SPDX-License-Identifier: BSD-2-Clause
"""A guest's snapshots as data: which there are, how they hang together, what is still to be done.

Each snapshot names, for each disk that the guest then had, the volume that stopped changing. The
volume that a disk writes to now is in the guest's disks. All is pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Tuple

from . import names

if TYPE_CHECKING:
    from .guest_spec import GuestDisk, GuestSpec

CREATING, DELETING, HOLDING = "creating", "deleting", "holding"


@dataclass(frozen=True)
class GuestVolume:
    """A volume by its pool's name and its own."""

    pool: str
    volume: str


@dataclass(frozen=True)
class Snapshot:
    """A state that the guest can go back to.

    ``parent`` is ``""`` for a root, ``created`` a time in seconds since 1970, ``memory`` the volume
    with the memory of a guest that ran. ``unfinished`` is ``creating`` while a running guest may
    still write to ``volumes``, ``deleting`` from when these may be merged into others on.
    """

    name: str
    parent: str = ""
    description: str = ""
    created: int = 0
    volumes: Tuple[GuestVolume, ...] = ()
    memory: Optional[GuestVolume] = None
    unfinished: str = ""
    filling: Optional[GuestVolume] = None


@dataclass(frozen=True)
class SnapshotTree:
    """All snapshots of a guest, oldest first.

    ``current`` is the one that the disks' present layers began with, ``""`` for none. ``spare``
    are volumes that nothing needs: not any more, or not yet. The next run deletes them.
    """

    snapshots: Tuple[Snapshot, ...] = ()
    current: str = ""
    spare: Tuple[GuestVolume, ...] = ()

    def find(self, name: str) -> Optional[Snapshot]:
        """A snapshot by name."""
        return next((each for each in self.snapshots if each.name == name), None)

    def unfinished(self, *kinds: str) -> Optional[Snapshot]:
        """The oldest snapshot that is in one of these states."""
        return next((each for each in self.snapshots if each.unfinished in kinds), None)

    def with_snapshot(self, snapshot: Snapshot) -> SnapshotTree:
        """With a snapshot that is new, or instead of the one of the same name."""
        if self.find(snapshot.name) is None:
            return replace(self, snapshots=(*self.snapshots, snapshot))
        changed = (snapshot if each.name == snapshot.name else each for each in self.snapshots)
        return replace(self, snapshots=tuple(changed))

    def without_snapshot(self, name: str) -> SnapshotTree:
        """Without it; its children, or the present state, hang on its parent from then on."""
        gone = self.find(name)
        if gone is None:
            return self
        kept = tuple(
            replace(each, parent=gone.parent) if each.parent == name else each
            for each in self.snapshots
            if each.name != name
        )
        current = gone.parent if self.current == name else self.current
        return replace(self, snapshots=kept, current=current)

    def with_spare(self, *volumes: GuestVolume) -> SnapshotTree:
        """With more volumes that nothing needs."""
        return replace(self, spare=tuple(dict.fromkeys([*self.spare, *volumes])))

    def without_spare(self, *volumes: GuestVolume) -> SnapshotTree:
        """Volumes that are needed now, or have gone."""
        return replace(self, spare=tuple(each for each in self.spare if each not in volumes))

    def with_volume_replaced(self, old: GuestVolume, new: GuestVolume) -> SnapshotTree:
        """Every snapshot that had ``old`` has ``new`` instead."""
        changed = (
            replace(
                each,
                volumes=tuple(new if volume == old else volume for volume in each.volumes),
            )
            for each in self.snapshots
        )
        return replace(self, snapshots=tuple(changed))


NO_SNAPSHOTS = SnapshotTree()


def has_snapshots(spec: GuestSpec) -> bool:
    """Whether the guest has snapshots: then the files of its disks must be left as they are."""
    return bool(spec.snapshots.snapshots)


def is_frozen(spec: GuestSpec, disk: GuestDisk) -> bool:
    """Whether a snapshot has a state of this disk; then it cannot be removed or made anew.

    A disk that was added after the last snapshot is not, and may go.
    """
    slot = names.disk_slot(spec.id, disk.volume)
    return slot is not None and any(
        names.disk_slot(spec.id, volume.volume) == slot
        for snapshot in spec.snapshots.snapshots
        for volume in snapshot.volumes
    )


def volume_of(disk: GuestDisk) -> GuestVolume:
    """The volume that a disk writes to."""
    return GuestVolume(disk.pool, disk.volume)


def disk_layers(spec: GuestSpec) -> List[GuestVolume]:
    """Every volume with a state of a disk, now or in a snapshot, each once."""
    present = [volume_of(disk) for disk in spec.disks if disk.volume]
    frozen = [volume for each in spec.snapshots.snapshots for volume in each.volumes]
    return list(dict.fromkeys([*frozen, *present]))


def guest_volumes(spec: GuestSpec) -> List[GuestVolume]:
    """Every volume of the guest: disks, snapshots, memory, and what is still to be deleted."""
    memory = [each.memory for each in spec.snapshots.snapshots if each.memory is not None]
    return list(dict.fromkeys([*disk_layers(spec), *memory, *spec.snapshots.spare]))


def by_slot(guest_id: str, volumes: Tuple[GuestVolume, ...]) -> Dict[str, GuestVolume]:
    """Volumes by the slot of the disk that they are layers of."""
    found = {names.disk_slot(guest_id, volume.volume): volume for volume in volumes}
    return {slot: volume for slot, volume in found.items() if slot is not None}


def with_disks_on(spec: GuestSpec, volumes: Dict[str, GuestVolume]) -> Tuple[GuestDisk, ...]:
    """The guest's disks, those of these slots on these volumes."""
    return _disks(spec, lambda disk: volumes.get(names.disk_slot(spec.id, disk.volume) or ""))


def with_disk_replaced(
    spec: GuestSpec, old: GuestVolume, new: GuestVolume
) -> Tuple[GuestDisk, ...]:
    """The guest's disks, the one on ``old`` on ``new``."""
    return _disks(spec, lambda disk: new if volume_of(disk) == old else None)


def _disks(
    spec: GuestSpec, choose: Callable[[GuestDisk], Optional[GuestVolume]]
) -> Tuple[GuestDisk, ...]:
    chosen = ((disk, choose(disk)) for disk in spec.disks)
    return tuple(
        disk if new is None else replace(disk, pool=new.pool, volume=new.volume)
        for disk, new in chosen
    )


def next_layer(spec: GuestSpec) -> int:
    """A number that no volume of the guest has."""
    numbers = [names.layer_number(spec.id, each.volume) for each in guest_volumes(spec)]
    return 1 + max(numbers, default=0)
