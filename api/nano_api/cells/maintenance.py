# SPDX-License-Identifier: Apache-2.0
"""A cell is emptied for work on its host, and comes back.

Being disabled is the mark: a disabled cell gets no new guest. One job moves all guests that can
move; those that cannot stay where they are, each with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.errors import CloudError, Conflict, NotFound
from nano_api.guests.tables import Guest
from nano_api.jobs import service as jobs
from nano_api.jobs.service import Lock, Requester
from nano_api.jobs.tables import Job
from nano_api.migrations import service as migrations


@dataclass(frozen=True)
class GuestLeft:
    """A guest that is on the cell: on its way, or why it stays."""

    id: str
    name: str
    running: bool
    moving: bool
    error: str


@dataclass(frozen=True)
class Maintenance:
    """How far the emptying of a cell is. ``job``: the last one that moved guests away."""

    cell: Cell
    job: Job | None
    guests: list[GuestLeft]


def begin(
    session: Session, cloud: Cloud, name: str, target_cell: str, requester: Requester
) -> Maintenance:
    """Disable the cell and submit the job that moves its guests; again for those that stayed.

    :raises NotFound: no pool has such a cell, or its pool no such ``target_cell``
    :raises Conflict: it does not answer, or the target takes no guests
    """
    cell = _get(session, name)
    if not cell.alive:
        raise Conflict(f"cell '{name}' does not answer: its guests cannot move", cell=name)
    cell.enabled = False
    session.flush()
    targets = migrations.Targets(session, cloud, cell)
    if target_cell:
        targets.named(str(cell.pool), target_cell)
    placed: list[tuple[Guest, str]] = []
    refused: dict[str, str] = {}
    for guest in _guests_on(session, name):
        try:
            if guest.state != "created":
                raise Conflict(f"it is not ready ({guest.state})")
            jobs.check_free(session, Lock("guest", guest.id), guest.name)
            placed.append((guest, targets.of(guest, target_cell)))
        except CloudError as error:
            refused[guest.id] = error.message
    job = migrations.submit(session, cell, placed, requester) if placed else None
    return Maintenance(cell, job, _left(_guests_on(session, name), job, refused))


def look(session: Session, name: str) -> Maintenance:
    """Who is on the cell, on the way or for what reason.

    :raises NotFound: no pool has such a cell
    """
    cell = _get(session, name)
    newest = select(Job).where(Job.operation == migrations.OPERATION)
    emptying = (
        job
        for job in session.scalars(newest.order_by(Job.created_at.desc()).limit(200))
        if job.parameters["source"] == name
    )
    job = next(emptying, None)
    errors = {each["id"]: each.get("error", "") for each in (job.results if job else [])}
    return Maintenance(cell, job, _left(_guests_on(session, name), job, errors))


def end(session: Session, name: str) -> Maintenance:
    """Let the cell have guests again; those that moved stay where they are now.

    :raises NotFound: no pool has such a cell
    :raises Conflict: guests are leaving it at this moment
    """
    found = look(session, name)
    if found.job is not None and not found.job.ended:
        raise Conflict(
            f"guests are leaving cell '{name}' (job {found.job.id}): wait for its end, or cancel it"
        )
    found.cell.enabled = True
    return found


def _get(session: Session, name: str) -> Cell:
    cell = session.get(Cell, name)
    if cell is None or cell.pool is None:
        raise NotFound(f"no cell '{name[:80]}' in any pool", cell=name[:80])
    return cell


def _guests_on(session: Session, name: str) -> list[Guest]:
    query = select(Guest).where(Guest.cell == name, Guest.state != "failed")
    return list(session.scalars(query.order_by(Guest.name)))


def _left(guests: list[Guest], job: Job | None, errors: dict[str, str]) -> list[GuestLeft]:
    moving = set()
    if job is not None and not job.ended:
        moving = {each["id"] for each in job.parameters["guests"]}
    return [
        GuestLeft(guest.id, guest.name, guest.running, guest.id in moving, errors.get(guest.id, ""))
        for guest in guests
    ]
