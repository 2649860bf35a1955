# SPDX-License-Identifier: Apache-2.0
"""Compute pools: made, changed and removed without touching a cell."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nano_api.address_pools.tables import AddressAllocation, AddressPool
from nano_api.cells.tables import Cell
from nano_api.compute_pools.tables import ComputePool
from nano_api.errors import Busy, Conflict, InvalidInput, NotFound
from nano_api.guests.tables import Guest
from nano_api.jobs.tables import Job
from nano_api.naming import check_object_name
from nano_api.storage_pools.tables import StoragePool

#: The pool that every system has from its start.
DEFAULT_POOL = "default"


def ensure_default(session: Session) -> None:
    """Make the pool ``default`` of a new system."""
    if session.get(ComputePool, DEFAULT_POOL) is None:
        session.add(ComputePool(name=DEFAULT_POOL))


def get(session: Session, name: str) -> ComputePool:
    """:raises NotFound: no such pool"""
    pool = session.get(ComputePool, name)
    if pool is None:
        raise NotFound(f"invalid pool '{name}'; GET /compute_pools/ lists the pools", pool=name)
    return pool


def all_pools(session: Session) -> list[ComputePool]:
    """Every pool, by name."""
    return list(session.scalars(select(ComputePool).order_by(ComputePool.name)))


def cell_counts(session: Session) -> Mapping[str, int]:
    """Pool name → number of its cells; pools without cells are missing."""
    rows = session.execute(
        select(Cell.pool, func.count()).where(Cell.pool.is_not(None)).group_by(Cell.pool)
    )
    return {str(pool): int(count) for pool, count in rows}


def create(
    session: Session, name: str, *, storage: str, network: str, failover: bool
) -> ComputePool:
    """:raises InvalidInput, Conflict, NotFound: with Nano's message where it has one"""
    check_object_name(name, "pool")
    if session.get(ComputePool, name) is not None:
        # Nano's spelling: scripts compare it.
        raise Conflict(f"'{name}' alrady exists", pool=name)
    _check_attachments(session, storage, network, failover)
    pool = ComputePool(name=name, storage=storage, network=network, failover=failover)
    session.add(pool)
    return pool


def change(session: Session, name: str, *, storage: str, network: str, failover: bool) -> None:
    """Replace all three settings; what a request leaves out is reset, as in Nano.

    :raises NotFound: no such pool, or it names a storage or address pool that does not exist
    :raises Conflict: nothing differs, or what would be given up is in use
    """
    pool = get(session, name)
    if (pool.storage, pool.network, pool.failover) == (storage, network, failover):
        raise Conflict("no need to change", pool=name)
    _check_attachments(session, storage, network, failover)
    _check_can_move(session, pool, storage, network)
    pool.storage, pool.network, pool.failover = storage, network, failover


def remove(session: Session, name: str) -> None:
    """:raises Conflict: the pool still has cells"""
    pool = get(session, name)
    count = cell_counts(session).get(name, 0)
    if count:
        raise Conflict(f"{count} cell(s) left in pool '{name}'; remove them first", pool=name)
    session.delete(pool)


def _check_attachments(session: Session, storage: str, network: str, failover: bool) -> None:
    if failover and not storage:
        raise InvalidInput("using shared storage to enable Failover feature", field="failover")
    if storage and session.get(StoragePool, storage) is None:
        raise NotFound(f"invalid storage pool '{storage[:80]}'", field="storage")
    if network and session.get(AddressPool, network) is None:
        raise NotFound(f"invalid address pool '{network[:80]}'", field="network")


def _check_nobody_joins(session: Session, pool: ComputePool) -> None:
    joining = select(Job).where(Job.operation == "cell_assign", Job.ended_at.is_(None))
    for job in session.scalars(joining):
        if job.parameters.get("pool") == pool.name:
            raise Busy(
                f"pool '{pool.name}' is busy: cell '{job.subject_name}' joins it (job {job.id})",
                pool=pool.name,
            )


def _check_can_move(session: Session, pool: ComputePool, storage: str, network: str) -> None:
    """What is in use stays: the storage of cells, the addresses of guests."""
    if storage != pool.storage:
        if cell_counts(session).get(pool.name):
            raise Conflict("must remove all cells before change storage", pool=pool.name)
        _check_nobody_joins(session, pool)
    if network == pool.network:
        return
    count = session.scalar(
        select(func.count())
        .select_from(AddressAllocation)
        .join(Guest, Guest.id == AddressAllocation.guest_id)
        .where(Guest.pool == pool.name)
    )
    if count:
        raise Conflict(
            f"{count} address(es) of address pool '{pool.network}' are allocated to guests of"
            f" pool '{pool.name}'; delete these guests first",
            pool=pool.name,
        )
