# SPDX-License-Identifier: Apache-2.0
"""Cells and the pools that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.compute_pools import service as compute_pools
from nano_api.errors import Conflict, NotFound
from nano_api.guests.tables import Guest
from nano_api.jobs import service as jobs
from nano_api.jobs.service import Lock, Requester, Subject
from nano_api.jobs.tables import Job
from nano_api.storage_pools import placement


def unassigned(session: Session) -> list[Cell]:
    """Cells of the inventory that belong to no pool."""
    query = select(Cell).where(Cell.pool.is_(None), Cell.in_inventory).order_by(Cell.name)
    return list(session.scalars(query))


def of_pool(session: Session, pool: str) -> list[Cell]:
    """:raises NotFound: no such pool"""
    compute_pools.get(session, pool)
    return list(session.scalars(select(Cell).where(Cell.pool == pool).order_by(Cell.name)))


def get_in_pool(session: Session, pool: str, name: str) -> Cell:
    """:raises NotFound: no such pool, or the cell is not in it"""
    compute_pools.get(session, pool)
    cell = session.get(Cell, name)
    if cell is None or cell.pool != pool:
        raise NotFound(f"no cell '{name}' in pool '{pool}'", cell=name, pool=pool)
    return cell


def assign(session: Session, pool: str, name: str, requester: Requester) -> Job:
    """Submit the job that checks the cell and puts it into the pool.

    A cell that is in it, but has lost its storage, is given that again.

    :raises NotFound: no such pool, or the inventory has no such cell
    :raises Conflict: it belongs to a pool already
    """
    compute_pools.get(session, pool)
    cell = session.get(Cell, name)
    if cell is None or not cell.in_inventory:
        raise NotFound(
            f"no cell '{name}': add it to the group 'cells' of the inventory, "
            "then run playbooks/cell_onboard.yml",
            cell=name,
        )
    parameters = _storage_parameter(session, pool)
    rejoins = cell.pool == pool and bool(parameters) and not cell.storage_attached
    if cell.pool is not None and not rejoins:
        raise Conflict(f"cell '{name}' already in pool '{cell.pool}'", cell=name)
    return jobs.submit(
        session,
        "cell_assign",
        subject=Subject("cell", name, name),
        cells=[name],
        requester=requester,
        parameters={"pool": pool, "rejoins": rejoins, **parameters},
    )


def _storage_parameter(session: Session, pool: str) -> dict[str, Any]:
    storage = placement.shared_storage(session, pool)
    return {} if storage is None else {"storage": placement.module_options(storage)}


def release(session: Session, pool: str, name: str, requester: Requester) -> Job | None:
    """Take a cell out of its pool: at once, or by the job that detaches the pool's storage.

    A cell that does not answer keeps the storage mounted, for who joins it to a pool again.

    :raises Conflict: guests are left on it
    """
    cell = get_in_pool(session, pool, name)
    count = session.execute(
        select(func.count()).select_from(Guest).where(Guest.cell == name, Guest.state != "failed")
    ).scalar_one()
    if count:
        raise Conflict(f"{count} instance(s) left in cell '{name}'", cell=name)
    parameters = _storage_parameter(session, pool)
    if parameters and cell.alive:
        return jobs.submit(
            session,
            "cell_release",
            subject=Subject("cell", name, name),
            cells=[name],
            requester=requester,
            parameters=parameters,
        )
    jobs.check_free(session, Lock("cell", name), name)
    cell.pool, cell.storage_attached, cell.storage_problem = None, False, None
    return None


@dataclass(frozen=True)
class Attachment:
    """Shared storage on a cell. ``error``: why it is not attached, ``""`` if it is."""

    name: str
    attached: bool
    error: str


def attachments(session: Session, cell: Cell) -> list[Attachment] | None:
    """The shared storage of a cell that is to have it; None of any other, or one that is off."""
    storage = placement.shared_storage(session, cell.pool)
    if storage is None or not (cell.alive and cell.enabled):
        return None
    error = "" if cell.storage_attached else cell.storage_problem or "not attached"
    return [Attachment(storage.name, cell.storage_attached, error)]


def enable(session: Session, pool: str, name: str, enabled: bool) -> None:
    """A disabled cell gets no new guest.

    :raises Conflict: it is so already
    """
    cell = get_in_pool(session, pool, name)
    if cell.enabled == enabled:
        raise Conflict(f"cell '{name}' already {'enabled' if enabled else 'disabled'}", cell=name)
    cell.enabled = enabled
