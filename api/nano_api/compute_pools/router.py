# SPDX-License-Identifier: Apache-2.0
"""``/compute_pools/``"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body

from nano_api.cloud import CurrentCloud
from nano_api.compute_pools import service
from nano_api.compute_pools.schemas import ComputePoolIn, ComputePoolOut
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.sessions.dependency import CurrentSession

router = NanoRouter(tags=["compute pools"])

PoolBody = Annotated[ComputePoolIn, Body(default_factory=ComputePoolIn)]


@router.get("/compute_pools/", response_model=Envelope[list[ComputePoolOut]])
def list_compute_pools(cloud: CurrentCloud, _session: CurrentSession) -> Any:
    """List all compute pools."""
    with cloud.database.reading() as session:
        counts = service.cell_counts(session)
        pools = service.all_pools(session)
    return reply([ComputePoolOut.of(pool, counts.get(pool.name, 0)) for pool in pools])


@router.get("/compute_pools/{pool}", response_model=Envelope[ComputePoolOut])
def get_compute_pool(pool: str, cloud: CurrentCloud, _session: CurrentSession) -> Any:
    """Get one compute pool."""
    with cloud.database.reading() as session:
        found = service.get(session, pool)
        cells = service.cell_counts(session).get(pool, 0)
    return reply(ComputePoolOut.of(found, cells))


@router.post("/compute_pools/{pool}", response_model=Envelope[str])
def create_compute_pool(
    pool: str, cloud: CurrentCloud, _session: CurrentSession, body: PoolBody
) -> Any:
    """Create a compute pool."""
    with cloud.database.transaction() as session:
        service.create(session, pool, **body.model_dump())
    return reply()


@router.put("/compute_pools/{pool}", response_model=Envelope[str])
def change_compute_pool(
    pool: str, cloud: CurrentCloud, _session: CurrentSession, body: PoolBody
) -> Any:
    """Change a compute pool's configuration; what is left out is reset."""
    with cloud.database.transaction() as session:
        service.change(session, pool, **body.model_dump())
    return reply()


@router.delete("/compute_pools/{pool}", response_model=Envelope[str])
def delete_compute_pool(pool: str, cloud: CurrentCloud, _session: CurrentSession) -> Any:
    """Delete an empty compute pool."""
    with cloud.database.transaction() as session:
        service.remove(session, pool)
    return reply()
