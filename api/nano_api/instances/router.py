# SPDX-License-Identifier: Apache-2.0
"""``/instances/``: the running state of guests."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Response
from sqlalchemy.orm import Session

from nano_api.cloud import Cloud, CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.errors import InvalidInput, Unsupported
from nano_api.guests import media, reading, service
from nano_api.guests.schemas import InstanceOut, InstanceStart, InstanceStop, MediaInsert
from nano_api.jobs.submitting import requester_of, submit_and_wait
from nano_api.jobs.tables import Job
from nano_api.sessions.dependency import CurrentSession, SessionInfo

router = NanoRouter(tags=["instances"])


@router.get("/instances/{id}", response_model=Envelope[InstanceOut])
def get_instance(
    id: str,  # noqa: A002  (the document's name)
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """Get a guest's running state; always 200."""
    with cloud.database.reading() as session:
        view = reading.view(session, id)
        return reply(InstanceOut.of(view, cloud.live.of(session, view.guest.cell)))


@router.post("/instances/{id}", response_model=Envelope[str])
async def start_instance(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[InstanceStart, Body(default_factory=InstanceStart)],
) -> Any:
    """Start a guest, from its disks or for this run from a media image; answers when it runs."""
    if body.from_network:
        raise Unsupported(
            "from_network: a guest starts from its disks or from a medium", field="from_network"
        )
    if body.from_media and not body.source:
        raise InvalidInput("source required: the media image to start from", field="source")
    medium = body.source if body.from_media else ""
    await _set_power(cloud, response, caller, id, "running", force=False, boot_image=medium)
    return reply()


@router.delete("/instances/{id}", response_model=Envelope[str])
async def stop_instance(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[InstanceStop, Body(default_factory=InstanceStop)],
) -> Any:
    """Stop or reboot a guest, gracefully or by force; answers when it has happened."""
    by_wish = {(True, True): "reset", (True, False): "rebooted"}
    wanted = by_wish.get((body.reboot, body.force), "stopped")
    await _set_power(cloud, response, caller, id, wanted, force=body.force)
    return reply()


async def _set_power(
    cloud: Cloud,
    response: Response,
    caller: SessionInfo,
    guest_id: str,
    wanted: str,
    *,
    force: bool,
    boot_image: str = "",
) -> None:
    requester = requester_of(caller)

    def submit(rows: Session) -> Job:
        return service.set_power(
            rows, guest_id, wanted, force=force, requester=requester, boot_image=boot_image
        )

    await submit_and_wait(cloud, response, submit)


@router.post("/instances/{id}/media", response_model=Envelope[str])
async def insert_medium(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[MediaInsert, Body(default_factory=MediaInsert)],
) -> Any:
    """Insert a media image into the drive of a running guest."""
    requester = requester_of(caller)
    await submit_and_wait(
        cloud, response, lambda rows: media.insert(rows, id, body.source, requester)
    )
    return reply()


@router.delete("/instances/{id}/media", response_model=Envelope[str])
async def eject_medium(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
) -> Any:
    """Take the medium out of a guest's drive."""
    requester = requester_of(caller)
    await submit_and_wait(cloud, response, lambda rows: media.eject(rows, id, requester))
    return reply()
