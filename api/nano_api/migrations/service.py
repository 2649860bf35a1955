# SPDX-License-Identifier: Apache-2.0
"""Migrations: checked and placed here; one job moves all guests of one. Its id is the job's."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.errors import Conflict, InvalidInput, NotFound, Unsupported
from nano_api.guests import allocation
from nano_api.guests.scheduling import Demand, pick_cell
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
    placed: list[dict[str, Any]] = [
        {
            "id": guest.id,
            "name": guest.name,
            "cell": _target(session, cloud, source, guest, target_cell).name,
        }
        for guest in guests
    ]
    taken: dict[str, set[int]] = {}
    for each in placed:
        used = taken.setdefault(each["cell"], set())
        port = allocation.free_display_port(session, each["cell"], used)
        used.add(port)
        each["display_port"] = port
    return jobs.submit(
        session,
        OPERATION,
        subject=Subject("migration", str(uuid.uuid4()), f"{len(placed)} guests"),
        cells=[source.name, *sorted(taken)],
        requester=requester,
        parameters={"source": source.name, "guests": placed},
        locks=[
            *(Lock("guest", guest.id) for guest in guests),
            *(
                Lock(allocation.PORT_LOCK, allocation.port_id(each["cell"], each["display_port"]))
                for each in placed
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


def _target(session: Session, cloud: Cloud, source: Cell, guest: Guest, target_cell: str) -> Cell:
    if not target_cell:
        others = [
            each for each in allocation.candidates(session, guest.pool) if each.name != source.name
        ]
        # On shared storage the disks are there already.
        shared = placement.shared_storage(session, guest.pool) is not None
        demand = Demand(guest.cores, guest.memory_bytes, 1 if shared else sum(guest.disks))
        return session.get_one(Cell, pick_cell(others, demand, cloud.settings.busy_cpu_percent))
    cell = _cell(session, guest.pool, target_cell, "target_cell")
    if cell.name == source.name:
        raise InvalidInput("target_cell is the source cell itself", field="target_cell")
    if not (cell.alive and cell.enabled):
        state = "is disabled" if cell.alive else "does not answer"
        raise Conflict(f"cell '{cell.name}' {state}: choose another target_cell", cell=cell.name)
    storage = placement.shared_storage(session, guest.pool)
    if storage is not None and not cell.storage_attached:
        reason = cell.storage_problem or "not attached"
        raise Conflict(
            f"cell '{cell.name}' has not storage pool '{storage.name}' ({reason}): choose another"
            " target_cell",
            cell=cell.name,
        )
    return cell
