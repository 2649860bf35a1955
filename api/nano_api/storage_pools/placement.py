# SPDX-License-Identifier: Apache-2.0
"""Where guests of a compute pool have their disks. The one place that names libvirt's pools.

A cell that joins a compute pool with shared storage gets a storage pool of libvirt for it; disks,
images and media of the compute pool's guests are all there, so that any of its cells can run them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.compute_pools.tables import ComputePool
from nano_api.storage_pools.tables import StoragePool

#: libvirt's pools that every cell has of its own (role ``cell``), unless its inventory says else.
LOCAL_POOLS = ("default", "nano-images")


def libvirt_pool(storage: str) -> str:
    """libvirt's name, on every cell, for a storage pool: the same."""
    return storage


def shared_storage(session: Session, compute_pool: str | None) -> StoragePool | None:
    """The storage pool that a compute pool names; None: each cell's own disks."""
    pool = session.get(ComputePool, compute_pool) if compute_pool else None
    return session.get(StoragePool, pool.storage) if pool is not None and pool.storage else None


def disk_pool(session: Session, compute_pool: str | None) -> str | None:
    """libvirt's pool with the disks of a compute pool's guests; None: the cell's own."""
    storage = shared_storage(session, compute_pool)
    return None if storage is None else libvirt_pool(storage.name)


def disk_pool_of_cell(session: Session, cell: Cell) -> str:
    """libvirt's pool whose room counts for a cell's new guests."""
    local = str(cell.connection.get("cell_pool_name", LOCAL_POOLS[0]))
    return disk_pool(session, cell.pool) or local


def has_local_disks(session: Session, cell: Cell) -> bool:
    """Whether the disks of a cell's guests are certainly on no other cell.

    A pool of libvirt that the cell's inventory names may be shared without our knowledge.
    """
    return shared_storage(session, cell.pool) is None and "cell_pool_name" not in cell.connection


def module_options(storage: StoragePool) -> dict[str, Any]:
    """Options of ``nano.cloud.storage_pool`` that attach it to a cell."""
    return {
        "name": libvirt_pool(storage.name),
        "type": storage.type,
        "host": storage.host,
        "source": storage.target,
    }
