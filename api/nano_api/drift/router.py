# SPDX-License-Identifier: Apache-2.0
"""``/drift/`` and ``/unknown_guests/``: what was done to the cells from outside. Beyond Nano."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Response

from nano_api.cloud import CurrentCloud
from nano_api.drift import service
from nano_api.drift.schemas import Adoption, DriftOut, UnknownGuestOut
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.jobs.submitting import requester_of, submit_and_wait
from nano_api.sessions.dependency import CurrentSession

router = NanoRouter(tags=["drift"])


@router.get("/drift/", response_model=Envelope[list[DriftOut]])
def list_drift(cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """List guests that are not on their cells what they should be."""
    with cloud.database.reading() as session:
        return reply([DriftOut.of(drift) for drift in service.all_drifts(session)])


@router.get("/drift/{guest}", response_model=Envelope[DriftOut])
def get_drift(guest: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """Get the drift of one guest."""
    with cloud.database.reading() as session:
        return reply(DriftOut.of(service.drift_of(session, guest)))


@router.post("/drift/{guest}/repair", response_model=Envelope[str])
async def repair_drift(
    guest: str, cloud: CurrentCloud, caller: CurrentSession, response: Response
) -> Any:
    """Make a guest again what it should be."""
    requester = requester_of(caller)
    await submit_and_wait(cloud, response, lambda rows: service.repair(rows, guest, requester))
    return reply()


@router.post("/drift/{guest}/accept", response_model=Envelope[str])
async def accept_drift(
    guest: str, cloud: CurrentCloud, caller: CurrentSession, response: Response
) -> Any:
    """Take what is on the cell for what should be."""
    requester = requester_of(caller)
    await submit_and_wait(cloud, response, lambda rows: service.accept(rows, guest, requester))
    return reply()


@router.get("/unknown_guests/", response_model=Envelope[list[UnknownGuestOut]])
def list_unknown_guests(cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """List virtual machines on the cells that no guest stands for; nothing ever touches them."""
    with cloud.database.reading() as session:
        return reply([UnknownGuestOut.of(each) for each in service.unknown_guests(session)])


@router.post("/unknown_guests/{cell}/{guest}", response_model=Envelope[str])
async def adopt_unknown_guest(
    cell: str,
    guest: str,
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[Adoption, Body(default_factory=Adoption)],
) -> Any:
    """Make an unknown virtual machine a guest; it runs on meanwhile."""
    requester = requester_of(caller)
    await submit_and_wait(
        cloud,
        response,
        lambda rows: service.adopt(rows, cloud, cell, guest, body.owner, body.group, requester),
    )
    return reply()
