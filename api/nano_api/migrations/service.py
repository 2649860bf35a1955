# SPDX-License-Identifier: Apache-2.0
"""Migrations: checked and placed here; one job moves all guests of one. Its id is the job's."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.errors import Conflict, InvalidInput, NotFound, Unsupported
from nano_api.guests import allocation
from nano_api.guests.scheduling import Candidate, Demand, pick_cell
from nano_api.guests.tables import Guest
from nano_api.jobs import service as jobs
from nano_api.jobs.service import Lock, Requester, Subject
from nano_api.jobs.tables import Job
from nano_api.storage_pools import placement

OPERATION = "guest_migrate"
_MOST_GUESTS = 100
#: How long an ended migration is still listed. (Nano forgets it when it was read once.)
_REMEMBERED = timedelta(hours=1)


def begin(
    session: Session,
    cloud: Cloud,
    *,
    source_pool: str,
    source_cell: str,
    target_pool: str,
    target_cell: str,
    guest_ids: Sequence[str],
    requester: Requester,
) -> Job:
    """Submit the job that moves guests (none named: all) to a cell, or to where there is room.

    :raises CloudError: what is wrong with a field, a cell or a guest; nothing was begun
    """
    if target_pool and target_pool != source_pool:
        raise Unsupported("migration between pools not support", field="target_pool")
    source = _cell(session, source_pool, source_cell, "source_cell")
    if not source.alive:
        raise Conflict(f"cell '{source.name}' does not answer: its guests cannot move")
    guests = _guests(session, source, guest_ids)
    targets = Targets(session, cloud, source)
    placed = [(guest, targets.of(guest, target_cell)) for guest in guests]
    return submit(session, source, placed, requester)


def submit(
    session: Session, source: Cell, placed: Sequence[tuple[Guest, str]], requester: Requester
) -> Job:
    """Submit the job that moves guests of a cell, each to the cell that was found for it."""
    wanted: list[dict[str, Any]] = []
    taken: dict[str, set[int]] = {}
    for guest, cell in placed:
        used = taken.setdefault(cell, set())
        port = allocation.free_display_port(session, cell, used)
        used.add(port)
        wanted.append({"id": guest.id, "name": guest.name, "cell": cell, "display_port": port})
    return jobs.submit(
        session,
        OPERATION,
        subject=Subject("migration", str(uuid.uuid4()), f"{len(wanted)} guests"),
        cells=[source.name, *sorted(taken)],
        requester=requester,
        parameters={"source": source.name, "guests": wanted},
        locks=[
            *(Lock("guest", guest.id) for guest, _cell in placed),
            *(
                Lock(allocation.PORT_LOCK, allocation.port_id(each["cell"], each["display_port"]))
                for each in wanted
            ),
        ],
    )


def get(session: Session, migration_id: str) -> Job:
    """:raises NotFound: there is no such migration"""
    job = session.get(Job, migration_id)
    if job is None or job.operation != OPERATION:
        raise NotFound(f"invalid migration '{migration_id[:80]}'", migration=migration_id[:80])
    return job


def recent(session: Session) -> list[Job]:
    """Those that go on, and those that ended not long ago; the newest first."""
    listed = or_(Job.ended_at.is_(None), Job.ended_at > now() - _REMEMBERED)
    query = select(Job).where(Job.operation == OPERATION, listed)
    return list(session.scalars(query.order_by(Job.created_at.desc())))


def _cell(session: Session, pool: str, name: str, field: str) -> Cell:
    if not pool:
        raise InvalidInput("source_pool required", field="source_pool")
    if not name:
        raise InvalidInput(f"{field} required", field=field)
    cell = session.get(Cell, name)
    if cell is None or cell.pool != pool:
        raise NotFound(f"invalid cell '{name[:80]}' in pool '{pool[:80]}'", field=field)
    return cell


def _guests(session: Session, source: Cell, ids: Sequence[str]) -> list[Guest]:
    if len(ids) > _MOST_GUESTS:
        raise InvalidInput(f"instances: at most {_MOST_GUESTS} at once", field="instances")
    there = list(
        session.scalars(
            select(Guest)
            .where(Guest.cell == source.name, Guest.state != "failed")
            .order_by(Guest.name)
        )
    )
    by_id = {guest.id: guest for guest in there}
    wanted = list(dict.fromkeys(ids)) or list(by_id)
    if not wanted:
        raise Conflict(f"cell '{source.name}' has no instance")
    for guest_id in wanted:
        guest = by_id.get(guest_id)
        if guest is None:
            raise NotFound(
                f"invalid instance '{guest_id[:80]}': it is not on cell '{source.name}'",
                field="instances",
            )
        if guest.state != "created":
            raise Conflict(f"instance '{guest.id}' is not ready ({guest.state})", guest=guest.id)
        jobs.check_free(session, Lock("guest", guest.id), guest.name)
    return [by_id[guest_id] for guest_id in wanted]


class Targets:
    """Where the guests of a cell go; each counts for the next one."""

    def __init__(self, session: Session, cloud: Cloud, source: Cell) -> None:
        self._session = session
        self._cloud = cloud
        self._source = source
        self._coming: dict[str, Demand] = {}

    def of(self, guest: Guest, target_cell: str = "") -> str:
        """The cell that was named, else the one with most room.

        :raises CloudError: the guest cannot go there, or nowhere
        """
        # The job would tell it too, but only to who asks for it: Nano's portal does not.
        if guest.snapshots and placement.has_local_disks(self._session, self._source):
            raise Unsupported(
                f"guest '{guest.name}' has snapshots, and its disks are not on shared storage: "
                "delete the snapshots first",
                guest=guest.id,
            )
        if target_cell:
            return self.named(guest.pool, target_cell)
        others = [
            self._as_it_will_be(each)
            for each in allocation.candidates(self._session, guest.pool)
            if each.name != self._source.name
        ]
        # On shared storage the disks are there already.
        shared = placement.shared_storage(self._session, guest.pool) is not None
        demand = Demand(guest.cores, guest.memory_bytes, 1 if shared else sum(guest.disks))
        name = pick_cell(others, demand, self._cloud.settings.busy_cpu_percent)
        self._coming[name] = self._coming.get(name, Demand(0, 0, 0)).plus(demand)
        return name

    def _as_it_will_be(self, cell: Candidate) -> Candidate:
        coming = self._coming.get(cell.name)
        if coming is None:
            return cell
        return replace(
            cell,
            memory_available_bytes=max(0, cell.memory_available_bytes - coming.memory_bytes),
            disk_available_bytes=max(0, cell.disk_available_bytes - coming.disk_bytes),
            promised=cell.promised.plus(coming),
        )

    def named(self, pool: str, target_cell: str) -> str:
        """A cell of a pool that guests can go to, by its name.

        :raises CloudError: there is none, it is the source, or nothing can go there now
        """
        cell = _cell(self._session, pool, target_cell, "target_cell")
        if cell.name == self._source.name:
            raise InvalidInput("target_cell is the source cell itself", field="target_cell")
        if not (cell.alive and cell.enabled):
            state = "is disabled" if cell.alive else "does not answer"
            raise Conflict(
                f"cell '{cell.name}' {state}: choose another target_cell", cell=cell.name
            )
        storage = placement.shared_storage(self._session, pool)
        if storage is not None and not cell.storage_attached:
            reason = cell.storage_problem or "not attached"
            raise Conflict(
                f"cell '{cell.name}' has not storage pool '{storage.name}' ({reason}): choose "
                "another target_cell",
                cell=cell.name,
            )
        return cell.name
