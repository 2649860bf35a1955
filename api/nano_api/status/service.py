# SPDX-License-Identifier: Apache-2.0
"""How zone, pools and cells are, from the figures and rows that the observer keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nano_api.cells import service as cells
from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.compute_pools import service as compute_pools
from nano_api.compute_pools.tables import ComputePool
from nano_api.errors import Conflict, InvalidInput, NotFound, Unsupported
from nano_api.guests.tables import Guest
from nano_api.jobs.tables import Job, JobLock
from nano_api.live.figures import CellNow
from nano_api.status.figures import CellView, Figures, GuestCounts, figures_of
from nano_api.storage_pools.tables import StoragePool

from ansible_collections.nano.cloud.plugins.module_utils.names import check_absolute_path  # isort: skip

#: Cell → its figures of this moment.
Live = Mapping[str, CellNow]

#: Nano has one zone, and calls it so.
ZONE = "default"
#: When this process began, as far as anybody can ask it.
STARTED_AT = now()
#: Where the role ``cell`` puts guests' disks unless the inventory says otherwise.
_DEFAULT_STORAGE_PATH = "/var/lib/libvirt/images"


@dataclass(frozen=True)
class PoolStatus:
    """A pool and its figures."""

    pool: ComputePool
    figures: Figures


@dataclass(frozen=True)
class CellStatus:
    """A cell and its figures."""

    cell: Cell
    figures: Figures


@dataclass(frozen=True)
class ZoneStatus:
    """Everything together."""

    pools_disabled: int
    pools_enabled: int
    figures: Figures


@dataclass(frozen=True)
class CellStorage:
    """Where a cell keeps guests' disks. ``mode`` is local, or the type of shared storage."""

    mode: str
    paths: list[str]


def zone(session: Session, live: Live) -> ZoneStatus:
    """All cells that belong to a pool."""
    pools = compute_pools.all_pools(session)
    enabled = sum(pool.enabled for pool in pools)
    members = session.scalars(select(Cell).where(Cell.pool.is_not(None)))
    return ZoneStatus(
        len(pools) - enabled, enabled, _figures(list(members), _counts(session), live)
    )


def all_pools(session: Session, live: Live) -> list[PoolStatus]:
    """Every pool, by name."""
    counts = _counts(session)
    by_pool: dict[str, list[Cell]] = {}
    for cell in session.scalars(select(Cell).where(Cell.pool.is_not(None))):
        by_pool.setdefault(str(cell.pool), []).append(cell)
    return [
        PoolStatus(pool, _figures(by_pool.get(pool.name, []), counts, live))
        for pool in compute_pools.all_pools(session)
    ]


def pool(session: Session, live: Live, name: str) -> PoolStatus:
    """:raises NotFound: no such pool"""
    found = compute_pools.get(session, name)
    return PoolStatus(found, _figures(cells.of_pool(session, name), _counts(session), live))


def cells_of_pool(session: Session, live: Live, name: str) -> list[CellStatus]:
    """:raises NotFound: no such pool"""
    counts = _counts(session)
    members = cells.of_pool(session, name)
    return [CellStatus(cell, _figures([cell], counts, live)) for cell in members]


def cell(session: Session, live: Live, pool_name: str, name: str) -> CellStatus:
    """:raises NotFound: no such pool, or the cell is not in it"""
    found = cells.get_in_pool(session, pool_name, name)
    return CellStatus(found, _figures([found], _counts(session), live))


def pool_or_cell(session: Session, name: str) -> tuple[str, str | None]:
    """What a path means that may name either: (pool, None), or (its pool, cell).

    A pool wins when there are both, as in Nano.

    :raises NotFound: there is neither, or the cell belongs to no pool
    """
    if session.get(ComputePool, name) is not None:
        return name, None
    found = session.get(Cell, name)
    if found is None or found.pool is None:
        raise NotFound(f"no pool '{name[:80]}', and no cell of a pool has that name")
    return found.pool, found.name


def storage_of(session: Session, pool_name: str, name: str) -> CellStorage:
    """Where a cell keeps the disks of guests.

    :raises NotFound: no such pool, or the cell is not in it
    """
    found = cells.get_in_pool(session, pool_name, name)
    shared = session.get(StoragePool, compute_pools.get(session, pool_name).storage)
    if shared is not None:
        return CellStorage(shared.type, [f"{shared.host}:{shared.target}"])
    path = str(found.connection.get("cell_pool_path", _DEFAULT_STORAGE_PATH))
    return CellStorage("local", [path.rstrip("/") or "/"])


def refuse_storage_change(session: Session, pool_name: str, name: str, path: str) -> NoReturn:
    """Refuse another storage path, with the reason: the path belongs to the cell's inventory.

    :raises CloudError: always; what is wrong with the wish itself comes first
    """
    storage = storage_of(session, pool_name, name)
    if not path:
        raise InvalidInput("default required", field="default")
    wanted = check_absolute_path(path, "default")
    if storage.mode != "local":
        raise Conflict(f"cell '{name}' uses shared storage; its path cannot be changed", cell=name)
    if wanted in storage.paths:
        raise Conflict("no need to change storage path", cell=name)
    guests = select(func.count()).select_from(Guest)
    left = session.scalar(guests.where(Guest.cell == name, Guest.state != "failed"))
    if left:
        raise Conflict(f"{left} instance(s) left in cell '{name}'", cell=name)
    raise Unsupported(
        f"set cell_pool_path to {wanted} for cell '{name}' in the inventory and run"
        " playbooks/cell_onboard.yml",
        cell=name,
    )


def guest_counts(session: Session) -> GuestCounts:
    """All guests by what they do."""
    return sum(_counts(session).values(), GuestCounts())


def _figures(members: list[Cell], counts: Mapping[str, GuestCounts], live: Live) -> Figures:
    return figures_of(
        CellView(cell, counts.get(cell.name, GuestCounts()), live.get(cell.name))
        for cell in members
    )


def _counts(session: Session) -> dict[str, GuestCounts]:
    """Cell → its guests. One query, whatever their number."""
    moving = (
        select(JobLock.resource_id)
        .join(Job, Job.id == JobLock.job_id)
        .where(JobLock.kind == "guest", Job.operation.contains("migrat"))
    )
    is_moving = Guest.id.in_(moving)
    rows = session.execute(
        select(Guest.cell, Cell.alive, Guest.running, is_moving, func.count())
        .join(Cell, Cell.name == Guest.cell)
        .where(Guest.state != "failed")
        .group_by(Guest.cell, Cell.alive, Guest.running, is_moving)
    )
    counts: dict[str, GuestCounts] = {}
    for name, alive, running, migrating, count in rows:
        if migrating:
            more = GuestCounts(migrating=count)
        elif not alive:
            more = GuestCounts(lost=count)
        else:
            more = GuestCounts(running=count) if running else GuestCounts(stopped=count)
        counts[name] = counts.get(name, GuestCounts()) + more
    return counts
