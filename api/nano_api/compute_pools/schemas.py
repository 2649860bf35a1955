# SPDX-License-Identifier: Apache-2.0
"""Compute pools on the wire."""

from __future__ import annotations

from pydantic import BaseModel

from nano_api.compute_pools.tables import ComputePool
from nano_api.envelope import WireModel


class ComputePoolOut(BaseModel):
    """A pool. ``storage`` and ``network`` are ``""`` for local storage and no address pool."""

    name: str
    enabled: bool
    cells: int
    storage: str
    network: str
    failover: bool

    @classmethod
    def of(cls, pool: ComputePool, cells: int) -> ComputePoolOut:
        """The wire's form of a row."""
        return cls(
            name=pool.name,
            enabled=pool.enabled,
            cells=cells,
            storage=pool.storage,
            network=pool.network,
            failover=pool.failover,
        )


class ComputePoolIn(WireModel):
    """Settings of a pool; a missing one is reset."""

    storage: str = ""
    network: str = ""
    failover: bool = False
