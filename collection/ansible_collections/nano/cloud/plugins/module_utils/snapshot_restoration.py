# SPDX-License-Identifier: BSD-2-Clause
"""Going back to a snapshot: new layers over its volumes; what was written since then is given up.

The definition changes the layers at once. The old ones are deleted after that, and after the
memory is back where there is any, so that until then everything can be undone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List

from . import domain_xml, names
from .errors import CloudError, Conflict
from .guest_spec import GuestSpec
from .saved_memory import rename_saved
from .snapshot_guest import SnapshotGuest, delete_spare
from .snapshot_tree import GuestVolume, Snapshot, by_slot, next_layer, volume_of, with_disks_on


def is_as_in(guest: SnapshotGuest, snapshot: Snapshot) -> bool:
    """Whether the stopped guest's disks are just as the snapshot has them."""
    if guest.domain.is_active() or guest.tree.current != snapshot.name:
        return False
    present = _present(guest)
    for slot, below in by_slot(guest.spec.id, snapshot.volumes).items():
        if slot not in present or present[slot] not in guest.dependents(below):
            return False
        if not guest.tool.is_pristine(guest.path(present[slot])):
            return False
    return True


def check_restoration(guest: SnapshotGuest, snapshot: Snapshot, force: bool) -> None:
    """Refuse what cannot work, or would lose the work of a running guest; changes nothing.

    :raises Conflict: it runs and ``force`` is false, or has not the snapshot's disks any more.
    """
    if guest.domain.is_active() and not force:
        raise Conflict(
            f"guest {guest.name} is {guest.domain.state()}: stop it before it goes back to "
            f"snapshot {snapshot.name}, or set force",
            guest=guest.name,
            snapshot=snapshot.name,
        )
    present = _present(guest)
    for slot, ref in by_slot(guest.spec.id, snapshot.volumes).items():
        if slot not in present:
            raise Conflict(
                f"guest {guest.name} has no disk any more that volume {ref.volume} of snapshot "
                f"{snapshot.name} belongs to",
                guest=guest.name,
                snapshot=snapshot.name,
                volume=ref.volume,
            )
        guest.path(ref)


def restore_snapshot(guest: SnapshotGuest, snapshot: Snapshot, memory: bool) -> None:
    """Go back; a running guest is ended at once. ``memory``: it then goes on from there.

    :raises CloudError: the disks are as they were; a guest that ran has been stopped.
    """
    layer = next_layer(guest.spec)
    below = by_slot(guest.spec.id, snapshot.volumes)
    above = {
        slot: GuestVolume(ref.pool, names.layer_name(guest.spec.id, slot, layer))
        for slot, ref in below.items()
    }
    if guest.domain.is_active():
        guest.domain.destroy()
    before = guest.spec
    old = [ref for slot, ref in _present(guest).items() if slot in below]
    new = list(above.values())
    try:
        guest.save(guest.tree.with_spare(*new))
        for slot, ref in above.items():
            guest.make_overlay(ref, below[slot])
        tree = replace(guest.tree.without_spare(*new), current=snapshot.name).with_spare(*old)
        guest.save(tree, with_disks_on(guest.spec, above))
        if memory and snapshot.memory is not None:
            _restore_memory(guest, snapshot.memory, above)
    except BaseException as error:
        _undo(guest, before, new, error)
        raise
    delete_spare(guest)


def _undo(
    guest: SnapshotGuest, before: GuestSpec, new: List[GuestVolume], error: BaseException
) -> None:
    try:
        if not guest.domain.is_active():  # Else all is done but the deletion of the old layers.
            guest.save(before.snapshots.with_spare(*new), before.disks)
        delete_spare(guest)
    except CloudError as problem:
        if isinstance(error, CloudError):
            error.message += (
                f"; and guest {guest.name} is left as it was amid that, which the next change of "
                f"its snapshots puts right: {problem.message}"
            )


def _present(guest: SnapshotGuest) -> Dict[str, GuestVolume]:
    return by_slot(guest.spec.id, tuple(volume_of(disk) for disk in guest.spec.disks))


def _restore_memory(
    guest: SnapshotGuest, memory: GuestVolume, layers: Dict[str, GuestVolume]
) -> None:
    path = guest.path(memory)
    # A guest may have been renamed since; libvirt compares names with those in the file.
    rename_saved(path, guest.name)
    volumes = {slot: (ref.pool, ref.volume) for slot, ref in layers.items()}
    xml = domain_xml.on_volumes(guest.host.saved_xml(path), guest.spec, volumes)
    guest.host.restore_saved(path, xml)
    guest.tell_live()
