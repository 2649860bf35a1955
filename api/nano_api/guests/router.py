# SPDX-License-Identifier: Apache-2.0
"""``/guests/`` and ``/guest_search/``"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Query, Response

from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, quick_reply, reply
from nano_api.guests import reading, service
from nano_api.guests.schemas import (
    GuestCreated,
    GuestIn,
    GuestOut,
    GuestPage,
    GuestRemove,
    GuestSearchIn,
)
from nano_api.jobs.submitting import name_job, requester_of, submit_and_wait
from nano_api.sessions.dependency import CurrentSession
from nano_api.visibility.service import visible_group

router = NanoRouter(tags=["guests"])

_CREATING: dict[int | str, dict[str, Any]] = {
    201: {
        "model": Envelope[GuestOut],
        "description": "Still being created, or made anew; see `progress`",
    }
}


@router.get("/guest_search/", response_model=Envelope[list[GuestOut]])
def search_guests(
    cloud: CurrentCloud,
    caller: CurrentSession,
    pool: str = "",
    cell: str | None = None,
    status: Annotated[int | None, Query(description="0 stopped, 1 running", ge=0, le=1)] = None,
    created: bool | None = None,
) -> Any:
    """Query the caller's guests of a pool or cell by condition."""
    with cloud.database.reading() as session:
        found = reading.search(
            session,
            pool=pool,
            cell=cell,
            owner=caller.user,
            group=visible_group(session, caller, "instance"),
            running=None if status is None else bool(status),
            created=created,
        )
    return quick_reply([GuestOut.of(view) for view in found])


@router.post("/search/guests/", response_model=Envelope[GuestPage])
def search_guests_paged(
    cloud: CurrentCloud,
    caller: CurrentSession,
    body: Annotated[GuestSearchIn, Body(default_factory=GuestSearchIn)],
) -> Any:
    """A page of the caller's guests, by keyword."""
    with cloud.database.reading() as session:
        page = reading.search_page(
            session,
            pool=body.pool,
            cell=body.cell,
            keyword=body.keyword,
            owner=caller.user,
            group=visible_group(session, caller, "instance"),
            limit=body.limit,
            offset=body.offset,
        )
    found = [GuestOut.of(view) for view in page.views]
    return reply({"result": found, "total": page.total, "limit": page.limit, "offset": page.offset})


@router.get("/guests/{id}", response_model=Envelope[GuestOut], responses=_CREATING)
def get_guest(
    id: str,  # noqa: A002  (the document's name)
    cloud: CurrentCloud,
    _caller: CurrentSession,
    response: Response,
) -> Any:
    """Get a guest: 201 while it is being created, then 200.

    A creation that failed is told once, as an error; then the guest does not exist.
    """
    with cloud.database.reading() as session:
        view = reading.view(session, id)
    if view.guest.state == "failed":
        with cloud.database.transaction() as session:
            failure = service.take_failure(session, id)
        if failure is not None:
            raise failure
    if view.guest.state in ("creating", "resetting"):
        response.status_code = 201
    secret = cloud.secrets.open(view.guest.monitor_secret_sealed)
    return reply(GuestOut.of(view, secret))


@router.post("/guests/", response_model=Envelope[GuestCreated], status_code=202)
def create_guest(
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[GuestIn, Body(default_factory=GuestIn)],
) -> Any:
    """Create a guest. Answers at once; GET the guest to see its progress."""
    with cloud.database.transaction() as session:
        guest, job = service.create(session, cloud, body.order(), requester_of(caller))
    name_job(response, job)
    return reply(GuestCreated(id=guest.id))


@router.delete("/guests/{id}", response_model=Envelope[str])
async def delete_guest(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[GuestRemove, Body(default_factory=GuestRemove)],
) -> Any:
    """Delete a guest with its disks. A running one needs ``force``."""
    requester = requester_of(caller)
    await submit_and_wait(
        cloud,
        response,
        lambda rows: service.remove(rows, id, force=body.force, requester=requester),
    )
    return reply()
