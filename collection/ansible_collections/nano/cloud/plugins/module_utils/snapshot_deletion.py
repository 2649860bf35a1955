# SPDX-License-Identifier: BSD-2-Clause
"""Deleting a snapshot: what others need of its volumes goes into theirs, then the volumes go.

One step after the other, each of which leaves the content of every other snapshot and of the
disks as it is. What is to be done next is read from the files and from the running guest, so a run
that was killed, or whose time was over, is gone on with from wherever it came to.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Dict, List, Optional

from . import names
from .errors import HypervisorError
from .pool_space import check_space
from .snapshot_filling import begin_filling, settle_filling
from .snapshot_guest import SnapshotGuest, delete_spare
from .snapshot_tree import DELETING, GuestVolume, Snapshot, volume_of, with_disk_replaced

_POLL_SECONDS = 0.1


COPY, WRITE, WRITTEN = "copy", "write", "written"


@dataclass(frozen=True)
class Step:
    """One merge of two layers; ``live``: the running guest does it.

    ``copy`` fills ``above`` with what it needs of ``below``. ``write`` writes all of ``above``
    into ``below``, which then takes its place; ``written`` is a ``write`` that only lacks that.
    """

    below: GuestVolume
    above: GuestVolume
    kind: str
    live: bool


def next_step(guest: SnapshotGuest, below: GuestVolume) -> Optional[Step]:
    """What is to be merged next for one volume of the snapshot; None when nothing needs it."""
    dependents = guest.dependents(below)
    open_names = guest.live_volumes() if dependents else set()
    at_rest = [each for each in dependents if each.volume not in open_names]
    live = [each for each in dependents if each.volume in open_names]
    written = next((each for each in at_rest if _is_written(guest, each, dependents)), None)
    if written is not None:
        return Step(below, written, WRITTEN, live=False)
    if at_rest and (live or len(at_rest) > 1 or not _is_smaller(guest, at_rest[0], below)):
        return Step(below, at_rest[0], COPY, live=False)
    if at_rest:
        return Step(below, at_rest[0], WRITE, live=False)
    if live:
        on_top = live[0] in [volume_of(disk) for disk in guest.spec.disks]
        return Step(below, live[0], COPY if on_top else WRITE, live=True)
    return None


def _is_written(guest: SnapshotGuest, above: GuestVolume, dependents: List[GuestVolume]) -> bool:
    """Whether layers that began on ``above`` are found on the one below it.

    That is so only when all of ``above`` has been written there, by a run that was cut off.
    """
    tree = guest.tree
    owners = {each.name for each in tree.snapshots if above in each.volumes}
    began = {ref for each in tree.snapshots if each.parent in owners for ref in each.volumes}
    if tree.current in owners:
        began.update(volume_of(disk) for disk in guest.spec.disks)
    return any(each in began for each in dependents if each != above)


def _is_smaller(guest: SnapshotGuest, above: GuestVolume, below: GuestVolume) -> bool:
    return guest.info(above).allocated_bytes <= guest.info(below).allocated_bytes


def check_deletion(guest: SnapshotGuest, snapshot: Snapshot) -> None:
    """Refuse before anything is merged what would fill a pool.

    :raises NoSpace: with the figures of the pool.
    """
    needed: Dict[str, int] = {}
    for below in snapshot.volumes:
        dependents = guest.dependents(below)
        step = next_step(guest, below)
        if step is None:
            continue
        if step.kind == COPY:
            size, times = guest.info(below).allocated_bytes, len(dependents)
        else:
            size, times = guest.info(step.above).allocated_bytes, 1
        needed[below.pool] = needed.get(below.pool, 0) + size * times
    for pool, size in needed.items():
        check_space(guest.host, guest.pool(GuestVolume(pool, "")), size)


def delete_snapshot(guest: SnapshotGuest, name: str, deadline: Optional[float]) -> int:
    """Merge and delete; returns how far it is, 100 when it is done.

    ``deadline`` is a time of the monotonic clock after which no new step is begun, and what the
    running guest does is left to it.

    :raises CloudError: a step failed; the snapshot stays, marked, and the next run goes on.
    """
    snapshot = guest.tree.find(name)
    if snapshot is None:
        return 100
    if not snapshot.unfinished:
        guest.save(guest.tree.with_snapshot(replace(snapshot, unfinished=DELETING)))
    settle_filling(guest, name)
    for number, below in enumerate(snapshot.volumes):
        done = _merge(guest, name, below, deadline)
        if done < 1.0:
            return min(99, int(100 * (number + done) / len(snapshot.volumes)))
    guest.sync_layers()
    guest.refresh_pools()
    snapshot = guest.tree.find(name)
    if snapshot is not None:
        memory: List[GuestVolume] = [snapshot.memory] if snapshot.memory else []
        tree = guest.tree.without_snapshot(name).with_spare(*snapshot.volumes, *memory)
        guest.save(tree)
    delete_spare(guest)
    return 100


def _merge(guest: SnapshotGuest, name: str, below: GuestVolume, deadline: Optional[float]) -> float:
    """Free one volume of what depends on it; returns how much of that is done, 0 to 1."""
    while True:
        snapshot = guest.tree.find(name)
        if snapshot is None or below not in snapshot.volumes:
            return 1.0  # It has taken another one's place.
        step = next_step(guest, below)
        if step is None:
            return 1.0
        if step.live:
            if step.kind == COPY:
                begin_filling(guest, snapshot, step.above)
            done = _merge_live(guest, step, deadline)
            if done < 1.0:
                return done
            settle_filling(guest, name)
        elif step.kind == COPY:
            under = guest.info(below)
            guest.tool.rebase(guest.path(step.above), under.backing_path, under.backing_format)
        elif step.kind == WRITE:
            guest.tool.commit(guest.path(step.above))
        if step.kind == COPY or step.live:
            _check_merged(guest, name, step)
        else:
            _take_place(guest, name, step)
        if _is_over(deadline) and next_step(guest, below) is not None:
            return 0.5


def _is_over(deadline: Optional[float]) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _check_merged(guest: SnapshotGuest, name: str, step: Step) -> None:
    """A merge that the guest's end has broken off is planned anew; one that failed is said so."""
    again = next_step(guest, step.below)
    if again == step and (not step.live or guest.domain.is_active()):
        raise HypervisorError(
            f"snapshot {name} of guest {guest.name} was not merged with {step.above.volume}: "
            f"is storage pool {step.above.pool} full?",
            guest=guest.name,
            snapshot=name,
        )


def _merge_live(guest: SnapshotGuest, step: Step, deadline: Optional[float]) -> float:
    slot = names.disk_slot(guest.spec.id, step.below.volume) or ""
    target = guest.live_disks()[slot][0]
    if guest.domain.block_job(target) is None:
        if step.kind == COPY:
            guest.domain.start_block_pull(target, guest.info(step.below).backing_path)
        else:
            below, above = guest.path(step.below), guest.path(step.above)
            guest.domain.start_block_commit(target, below, above)
    while guest.domain.is_active():
        job = guest.domain.block_job(target)
        if job is None:
            break
        if _is_over(deadline):
            done, total = job
            return min(0.99, done / total) if total else 0.0
        time.sleep(_POLL_SECONDS)
    return 1.0


def _take_place(guest: SnapshotGuest, name: str, step: Step) -> None:
    """``below`` has all that ``above`` has: it stands in its place from now on."""
    path = guest.path(step.below)
    live = guest.live_volumes()
    for each in guest.dependents(step.above):
        if each.volume not in live:
            guest.tool.relink(guest.path(each), path, "qcow2")
    guest.sync_layers()
    guest.refresh_pools()
    tree = guest.tree
    snapshot = tree.find(name)
    if snapshot is not None:
        kept = tuple(each for each in snapshot.volumes if each != step.below)
        tree = tree.with_snapshot(replace(snapshot, volumes=kept))
    tree = tree.with_volume_replaced(step.above, step.below).with_spare(step.above)
    guest.save(tree, with_disk_replaced(guest.spec, step.above, step.below))
