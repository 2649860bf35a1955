# SPDX-License-Identifier: Apache-2.0
"""``/batch/…``: many guests in one request. 202 while it goes on, 200 when all have ended."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Response
from pydantic import BaseModel, Field

from nano_api.batches import service
from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, WireModel, reply
from nano_api.errors import InvalidInput
from nano_api.guests.schemas import GuestSpecification
from nano_api.jobs.submitting import name_job, requester_of
from nano_api.jobs.tables import Job
from nano_api.sessions.dependency import CurrentSession

router = NanoRouter(tags=["batches"])

#: What Nano calls a guest that is being worked on, is done, or failed.
_STATES = {
    "create": {"running": "creating", "done": "created", "failed": "fail"},
    "delete": {"running": "deleting", "done": "deleted", "failed": "fail"},
    "stop": {"running": "stopping", "done": "stopped", "failed": "fail"},
}


class BatchCreateIn(GuestSpecification):
    """Guests to create: ``prefix_0``, ``prefix_1``…"""

    name_rule: str = ""
    name_prefix: str = ""
    count: int = 0


class BatchGuestsIn(WireModel):
    """Guests by their ids. ``force``: also (or at once) those that run."""

    guest: list[str] = Field(default_factory=list)
    guests: list[str] = Field(default_factory=list, description="the same; the document says so")
    force: bool = False


class BatchOut(BaseModel):
    """The batch's id, which is its job's too."""

    id: str


class BatchItemOut(BaseModel):
    """One guest of a batch."""

    name: str
    id: str
    status: str
    error: str | None = None
    progress: int | None = None


_RUNNING: dict[int | str, dict[str, Any]] = {
    202: {"model": Envelope[list[BatchItemOut]], "description": "It goes on"}
}


@router.post("/batch/create_guest/", response_model=Envelope[BatchOut], status_code=202)
def create_guests(
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[BatchCreateIn, Body(default_factory=BatchCreateIn)],
) -> Any:
    """Create guests: all are placed, or none; afterwards each may fail for itself."""
    if body.name_rule != "order":
        raise InvalidInput(
            f"invalid name rule '{body.name_rule[:40]}': only 'order' is possible",
            field="name_rule",
        )
    if not body.name_prefix:
        raise InvalidInput("name prefix required", field="name_prefix")
    service.check_count(body.count)
    orders = [body.order_named(f"{body.name_prefix}_{number}") for number in range(body.count)]
    with cloud.database.transaction() as session:
        job = service.create(session, cloud, orders, requester_of(caller))
    return _begun(response, job)


@router.post("/batch/delete_guest/", response_model=Envelope[BatchOut], status_code=202)
def delete_guests(
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[BatchGuestsIn, Body(default_factory=BatchGuestsIn)],
) -> Any:
    """Delete guests; a running one fails unless ``force`` is given."""
    with cloud.database.transaction() as session:
        ids = body.guest or body.guests
        job = service.delete(session, ids, body.force, requester_of(caller))
    return _begun(response, job)


@router.post("/batch/stop_guest/", response_model=Envelope[BatchOut], status_code=202)
def stop_guests(
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[BatchGuestsIn, Body(default_factory=BatchGuestsIn)],
) -> Any:
    """Stop guests: asked to end, or at once with ``force``."""
    with cloud.database.transaction() as session:
        ids = body.guest or body.guests
        job = service.stop(session, ids, body.force, requester_of(caller))
    return _begun(response, job)


def _begun(response: Response, job: Job) -> Any:
    name_job(response, job)
    return reply(BatchOut(id=job.id))


def _add_status(kind: service.Kind) -> None:
    @router.get(
        f"/batch/{kind}_guest/{{id}}",
        response_model=Envelope[list[BatchItemOut]],
        responses=_RUNNING,
        summary=f"How far a batch is that has to {kind} guests",
    )
    def status(
        id: str,  # noqa: A002  (the document's name)
        cloud: CurrentCloud,
        _caller: CurrentSession,
        response: Response,
    ) -> Any:
        """202 while it goes on; 200 when every guest is done or has failed."""
        with cloud.database.reading() as session:
            ended, items = service.items(session, kind, id)
        if not ended:
            response.status_code = 202
        return reply(
            [
                BatchItemOut(
                    name=item.name,
                    id=item.id,
                    status=_STATES[kind][item.state],
                    error=item.error or None,
                    progress=item.percent if kind == "create" else None,
                )
                for item in items
            ]
        )


_add_status("create")
_add_status("delete")
_add_status("stop")
