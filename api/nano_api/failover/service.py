# SPDX-License-Identifier: Apache-2.0
"""What is to be done about lost cells and about leases; each is one job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.compute_pools.tables import ComputePool
from nano_api.errors import CloudError
from nano_api.guests import allocation
from nano_api.guests.scheduling import Candidate, Demand, pick_cell
from nano_api.guests.tables import Guest
from nano_api.jobs import service as jobs
from nano_api.jobs.service import Lock, Subject
from nano_api.jobs.tables import Job, JobLock

#: Jobs about one guest, whose next run goes on from whatever they left. Others (creations,
#: migrations, batches) keep their guests until the cell is back and they are settled.
_MAY_BE_ENDED = frozenset(
    {
        "guest_change",
        "guest_media",
        "guest_policy",
        "guest_power",
        "snapshot_create",
        "snapshot_delete",
        "snapshot_restore",
    }
)


@dataclass(frozen=True)
class Situation:
    """A cell of some pool, as far as failover is concerned."""

    cell: str
    alive: bool
    lease: str
    #: What the pool's settings say: ``held`` or ``""``.
    wanted: str


def situations(session: Session) -> list[Situation]:
    """Of every cell of the inventory that is in a pool, or was in one with failover."""
    rows = session.execute(
        select(Cell, ComputePool.failover)
        .outerjoin(ComputePool, ComputePool.name == Cell.pool)
        .where(Cell.in_inventory)
    )
    return [
        Situation(cell.name, cell.alive, cell.lease, "held" if failover else "")
        for cell, failover in rows
    ]


def take_over(session: Session, _cloud: Cloud, lost_cell: str) -> Job | None:
    """Submit the job that starts a lost cell's guests elsewhere; None when none can be moved now.

    :raises Busy: a job about the cell goes on
    """
    lost = session.get_one(Cell, lost_cell)
    pool = session.get(ComputePool, lost.pool) if lost.pool else None
    if lost.alive or pool is None or not pool.failover:
        return None
    jobs.check_free(session, Lock("cell", lost.name), lost.name)
    guests = [guest for guest in _guests_of(session, lost) if _is_free(session, guest)]
    placed, unplaced = _place(session, pool, lost, guests)
    if not placed:
        return None
    lost.lease = "revoked"
    job = jobs.submit(
        session,
        "cell_failover",
        subject=Subject("cell", lost.name, lost.name),
        cells=sorted({each["cell"] for each in placed}),
        requester=jobs.SYSTEM,
        parameters={"storage": pool.storage, "guests": placed, "unplaced": unplaced},
        locks=[
            *(Lock("guest", each["id"]) for each in placed),
            *(
                Lock(allocation.PORT_LOCK, allocation.port_id(each["cell"], each["display_port"]))
                for each in placed
            ),
        ],
    )
    for each in placed:
        session.get_one(Guest, each["id"]).job_id = job.id
    return job


def _guests_of(session: Session, cell: Cell) -> list[Guest]:
    """Those that ran or start by themselves come first, as they get room first."""
    query = select(Guest).where(Guest.cell == cell.name, Guest.state == "created")
    found = session.scalars(query.order_by(Guest.name))
    return sorted(found, key=lambda guest: (not _is_to_start(guest), -guest.memory_bytes))


def _is_to_start(guest: Guest) -> bool:
    return guest.running or guest.auto_start


def _is_free(session: Session, guest: Guest) -> bool:
    """Whether no job has the guest; one that waits for the lost cell, and may, is ended."""
    held = session.get(JobLock, ("guest", guest.id))
    if held is None:
        return True
    job = session.get_one(Job, held.job_id)
    if job.state != "unknown" or job.operation not in _MAY_BE_ENDED:
        return False
    reason = f"cell '{guest.cell}' was lost in the middle of it, and the guest started elsewhere"
    jobs.finish(session, job, "failed", error_code="unreachable", error_message=reason)
    return True


def _place(
    session: Session, pool: ComputePool, lost: Cell, guests: Sequence[Guest]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Where each guest goes, and why those that go nowhere do not."""
    others = {
        each.name: _without_disk(each)
        for each in allocation.candidates(session, pool.name)
        if each.name != lost.name
    }
    placed: list[dict[str, Any]] = []
    unplaced: list[dict[str, Any]] = []
    ports: dict[str, set[int]] = {}
    for guest in guests:
        known = {"id": guest.id, "name": guest.name}
        demand = Demand(guest.cores, guest.memory_bytes if _is_to_start(guest) else 1, 1)
        try:
            # A busy cell is better than none.
            target = pick_cell(others.values(), demand, 100)
            used = ports.setdefault(target, set())
            port = allocation.free_display_port(session, target, used)
        except CloudError as error:
            unplaced.append({**known, "reason": error.message})
            continue
        used.add(port)
        others[target] = _with(others[target], demand)
        more = {"cell": target, "display_port": port, "auto_start": guest.auto_start}
        placed.append({**known, **more, "start": _is_to_start(guest)})
    return placed, unplaced


def _without_disk(cell: Candidate) -> Candidate:
    """The disks are where they are, and as near to each cell."""
    promised = replace(cell.promised, disk_bytes=0)
    return replace(cell, disk_bytes=1, disk_available_bytes=1, promised=promised)


def _with(cell: Candidate, demand: Demand) -> Candidate:
    """The cell with one guest more."""
    promised = replace(cell.promised.plus(demand), disk_bytes=0)
    available = cell.memory_available_bytes - demand.memory_bytes
    return replace(cell, promised=promised, memory_available_bytes=available)


def settle_lease(session: Session, cloud: Cloud, name: str) -> Job | None:
    """Submit the job after which a cell's lease is as its pool wants it; None: it is so.

    :raises Busy: a job about the cell goes on
    """
    cell = session.get_one(Cell, name)
    pool = session.get(ComputePool, cell.pool) if cell.pool else None
    wanted = "held" if pool is not None and pool.failover else ""
    if not cell.alive or cell.lease == wanted:
        return None
    elsewhere: list[str] = []
    if cell.lease == "revoked":
        others = select(Guest.id).where(Guest.cell != name, Guest.pool == cell.pool)
        elsewhere = [*session.scalars(others), *_deleted_elsewhere(session, name)]
    return jobs.submit(
        session,
        "cell_lease",
        subject=Subject("cell", name, name),
        cells=[name],
        requester=jobs.SYSTEM,
        parameters={
            "storage": pool.storage if pool and pool.storage else "default",
            "lease": wanted,
            "lease_seconds": cloud.settings.lease_seconds,
            "elsewhere": elsewhere,
        },
    )


def _deleted_elsewhere(session: Session, cell: str) -> list[str]:
    """Guests that were taken over from a cell and are no more: it may still have a definition."""
    takeovers = select(Job).where(Job.operation == "cell_failover", Job.subject_id == cell)
    taken = {each["id"] for job in session.scalars(takeovers) for each in job.parameters["guests"]}
    return sorted(taken - set(session.scalars(select(Guest.id).where(Guest.id.in_(taken)))))
