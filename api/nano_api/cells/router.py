# SPDX-License-Identifier: Apache-2.0
"""``/compute_pool_cells/``"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Response

from nano_api.cells import service
from nano_api.cells.schemas import CellDetail, CellEnable, CellOut
from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.jobs import waiting
from nano_api.jobs.submitting import name_job, requester_of, submit_and_wait, submit_in_turn
from nano_api.sessions.dependency import CurrentSession

router = NanoRouter(tags=["cells"])

EnableBody = Annotated[CellEnable, Body(default_factory=CellEnable)]


@router.get("/compute_pool_cells/", response_model=Envelope[list[CellOut]])
def list_unassigned_cells(cloud: CurrentCloud, _session: CurrentSession) -> Any:
    """List the inventory's cells that belong to no pool."""
    with cloud.database.reading() as session:
        return reply([CellOut.of(cell) for cell in service.unassigned(session)])


@router.get("/compute_pool_cells/{pool}", response_model=Envelope[list[CellOut]])
def list_pool_cells(pool: str, cloud: CurrentCloud, _session: CurrentSession) -> Any:
    """List the cells of a pool."""
    with cloud.database.reading() as session:
        return reply([CellOut.of(cell) for cell in service.of_pool(session, pool)])


@router.get(
    "/compute_pool_cells/{pool}/{cell}",
    response_model=Envelope[CellDetail],
    response_model_exclude_none=True,
)
def get_pool_cell(pool: str, cell: str, cloud: CurrentCloud, _session: CurrentSession) -> Any:
    """Get a cell's state, and whether it has its pool's shared storage."""
    with cloud.database.reading() as session:
        found = service.get_in_pool(session, pool, cell)
        return reply(CellDetail.with_storage(found, service.attachments(session, found)))


@router.post("/compute_pool_cells/{pool}/{cell}", response_model=Envelope[str])
async def assign_cell(
    pool: str, cell: str, cloud: CurrentCloud, session: CurrentSession, response: Response
) -> Any:
    """Check and prepare a cell, and add it to a pool."""
    requester = requester_of(session)
    await submit_and_wait(cloud, response, lambda rows: service.assign(rows, pool, cell, requester))
    return reply()


@router.put("/compute_pool_cells/{pool}/{cell}", response_model=Envelope[str])
def enable_cell(
    pool: str, cell: str, cloud: CurrentCloud, _session: CurrentSession, body: EnableBody
) -> Any:
    """Enable or disable a cell; a disabled cell gets no new guest."""
    with cloud.database.transaction() as session:
        service.enable(session, pool, cell, body.enable)
    return reply()


@router.delete("/compute_pool_cells/{pool}/{cell}", response_model=Envelope[str])
async def release_cell(
    pool: str, cell: str, cloud: CurrentCloud, session: CurrentSession, response: Response
) -> Any:
    """Remove a cell without guests from its pool, and the pool's shared storage from it."""
    requester = requester_of(session)
    job = await submit_in_turn(cloud, lambda rows: service.release(rows, pool, cell, requester))
    if job is not None:
        name_job(response, job)
        await waiting.wait(cloud, job.id)
    return reply()
