# SPDX-License-Identifier: Apache-2.0
"""``/storage_pools/``: shared storage that compute pools may name."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body

from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.sessions.dependency import CurrentSession
from nano_api.storage_pools import service
from nano_api.storage_pools.schemas import (
    StoragePoolBody,
    StoragePoolDetail,
    StoragePoolSummary,
)

router = NanoRouter(tags=["storage pools"])

StoragePoolIn = Annotated[StoragePoolBody, Body(default_factory=StoragePoolBody)]


@router.get(
    "/storage_pools/",
    response_model=Envelope[list[StoragePoolSummary]],
    summary="List all storage pools",
)
def list_storage_pools(cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """By name."""
    with cloud.database.reading() as session:
        found = service.list_pools(session)
    return reply(
        [
            {"name": pool.name, "type": pool.type, "host": pool.host, "target": pool.target}
            for pool in found
        ]
    )


@router.get(
    "/storage_pools/{pool}",
    response_model=Envelope[StoragePoolDetail],
    summary="Get a storage pool",
)
def get_storage_pool(pool: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """Its type and where it is."""
    with cloud.database.reading() as session:
        found = service.get(session, pool)
    return reply({"type": found.type, "host": found.host, "target": found.target})


@router.post("/storage_pools/{pool}", response_model=Envelope[str], summary="Create a storage pool")
def create_storage_pool(
    pool: str, cloud: CurrentCloud, _caller: CurrentSession, body: StoragePoolIn
) -> Any:
    """Cells mount it when they join a compute pool that names it."""
    with cloud.database.transaction() as session:
        service.create(session, pool, **body.model_dump())
    return reply()


@router.put("/storage_pools/{pool}", response_model=Envelope[str], summary="Change a storage pool")
def change_storage_pool(
    pool: str, cloud: CurrentCloud, _caller: CurrentSession, body: StoragePoolIn
) -> Any:
    """Replace the settings; refused while a compute pool uses it."""
    with cloud.database.transaction() as session:
        service.change(session, pool, **body.model_dump())
    return reply()


@router.delete(
    "/storage_pools/{pool}", response_model=Envelope[str], summary="Delete a storage pool"
)
def delete_storage_pool(pool: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """Refused while a compute pool uses it. What is stored there stays."""
    with cloud.database.transaction() as session:
        service.remove(session, pool)
    return reply()
