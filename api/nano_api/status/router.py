# SPDX-License-Identifier: Apache-2.0
"""``/compute_zone_status/`` and its relatives: how everything is now.

The document gives ``/compute_cell_status/{…}`` and ``/instance_status/{…}`` two meanings, a pool
and a cell: it is the one that exists.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body
from sqlalchemy.orm import Session

from nano_api.access import sees_everything
from nano_api.cells import service as cells
from nano_api.cloud import Cloud, CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, quick_reply, reply
from nano_api.guests import reading
from nano_api.guests.schemas import GuestOut
from nano_api.sessions.dependency import CurrentSession, SessionInfo
from nano_api.status import service
from nano_api.status.schemas import (
    CellStatusOut,
    PoolStatusOut,
    StorageBody,
    StorageOut,
    ZoneStatusOut,
    cell_status,
    pool_status,
    zone_status,
)
from nano_api.visibility.service import visible_group

router = NanoRouter(tags=["status"])


@router.get(
    "/compute_zone_status/",
    response_model=Envelope[ZoneStatusOut],
    summary="Get the status of the whole zone",
)
def get_zone_status(cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """All pools together."""
    with cloud.database.reading() as session:
        return reply(zone_status(service.zone(session, cloud.live.everything(session))))


@router.get(
    "/compute_pool_status/",
    response_model=Envelope[list[PoolStatusOut]],
    summary="Get the status of every compute pool",
)
def list_pool_status(cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """By name."""
    with cloud.database.reading() as session:
        return reply(
            [
                pool_status(status)
                for status in service.all_pools(session, cloud.live.everything(session))
            ]
        )


@router.get(
    "/compute_pool_status/{pool}",
    response_model=Envelope[PoolStatusOut],
    summary="Get the status of one compute pool",
)
def get_pool_status(pool: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """One pool."""
    with cloud.database.reading() as session:
        return reply(pool_status(service.pool(session, cloud.live.everything(session), pool)))


@router.get(
    "/compute_cell_status/{pool}",
    response_model=Envelope[list[CellStatusOut] | CellStatusOut],
    summary="Get the status of every cell of a pool, or of one cell",
)
def list_cell_status(pool: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """A pool's name gives a list, a cell's name that cell."""
    with cloud.database.reading() as session:
        found, cell = service.pool_or_cell(session, pool)
        if cell is not None:
            return reply(
                cell_status(service.cell(session, cloud.live.everything(session), found, cell))
            )
        return reply(
            [
                cell_status(status)
                for status in service.cells_of_pool(session, cloud.live.everything(session), found)
            ]
        )


@router.get(
    "/compute_cell_status/{pool}/{cell}",
    response_model=Envelope[CellStatusOut],
    summary="Get the status of one cell",
)
def get_cell_status(pool: str, cell: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """One cell of a pool."""
    with cloud.database.reading() as session:
        return reply(cell_status(service.cell(session, cloud.live.everything(session), pool, cell)))


@router.get(
    "/compute_cell_status/{pool}/{cell}/storages/",
    response_model=Envelope[StorageOut],
    summary="Get a cell's storage paths",
)
def get_cell_storages(pool: str, cell: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """Where guests' disks are; for shared storage, ``host:path``."""
    with cloud.database.reading() as session:
        storage = service.storage_of(session, pool, cell)
    return reply({"mode": storage.mode, "system": storage.paths, "data": storage.paths})


@router.put(
    "/compute_cell_status/{pool}/{cell}/storages/",
    response_model=Envelope[str],
    summary="Change a cell's default storage path",
)
def change_cell_storages(
    pool: str,
    cell: str,
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: Annotated[StorageBody, Body(default_factory=StorageBody)],
) -> Any:
    """The path belongs to the inventory of the cells; the reply says what to do there."""
    with cloud.database.reading() as session:
        service.refuse_storage_change(session, pool, cell, body.default)


@router.get(
    "/instance_status/{pool}",
    response_model=Envelope[list[GuestOut]],
    summary="Get the state of every guest in a pool, or on a cell",
)
def list_pool_instances(pool: str, cloud: CurrentCloud, caller: CurrentSession) -> Any:
    """By name. A pool's name gives its guests, a cell's name those on it."""
    with cloud.database.reading() as session:
        found, cell = service.pool_or_cell(session, pool)
        return quick_reply(_visible(session, cloud, caller, reading.everyone(session, found, cell)))


@router.get(
    "/instance_status/{pool}/{cell}",
    response_model=Envelope[list[GuestOut]],
    summary="Get the state of every guest on a cell",
)
def list_cell_instances(pool: str, cell: str, cloud: CurrentCloud, caller: CurrentSession) -> Any:
    """By name."""
    with cloud.database.reading() as session:
        cells.get_in_pool(session, pool, cell)
        return quick_reply(_visible(session, cloud, caller, reading.everyone(session, pool, cell)))


def _visible(
    session: Session, cloud: Cloud, caller: SessionInfo, views: list[reading.GuestView]
) -> list[dict[str, Any]]:
    """All of them for an operator, for others their own and those that their group shows them."""
    if not sees_everything(cloud.settings, caller):
        group = visible_group(session, caller, "instance")
        views = [
            view for view in views if view.guest.owner == caller.user or view.guest.group == group
        ]
    return [GuestOut.of(view) for view in views]
