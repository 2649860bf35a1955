# SPDX-License-Identifier: Apache-2.0
"""``/jobs/``: what goes on, its events as they happen, its log, and a way to end it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Header, Query, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from nano_api.cloud import Cloud, CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.jobs import service
from nano_api.jobs.log_file import job_log_path
from nano_api.jobs.schemas import JobOut
from nano_api.jobs.tables import JobEvent
from nano_api.sessions.dependency import CurrentSession

router = NanoRouter(tags=["jobs"])

_POLL_SECONDS = 0.25


@router.get("/jobs/", response_model=Envelope[list[JobOut]])
def list_jobs(
    cloud: CurrentCloud,
    _caller: CurrentSession,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[datetime | None, Query(description="created before this moment")] = None,
    state: Literal["queued", "running", "unknown", "succeeded", "failed", "canceled"] | None = None,
    subject: Annotated[str | None, Query(description="id of a guest or name of a cell")] = None,
) -> Any:
    """The newest jobs first."""
    with cloud.database.reading() as session:
        found = service.recent(session, limit=limit, before=before, state=state, subject_id=subject)
    return reply([JobOut.of(job) for job in found])


@router.get("/jobs/{id}", response_model=Envelope[JobOut])
def get_job(id: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:  # noqa: A002
    """One job: state, percent, current step, results, who asked and when."""
    with cloud.database.reading() as session:
        return reply(JobOut.of(service.get(session, id)))


@router.delete("/jobs/{id}", response_model=Envelope[str])
def cancel_job(id: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:  # noqa: A002
    """Ask for a job's end. It is ``canceled`` once the cell has been put in order."""
    with cloud.database.transaction() as session:
        service.request_cancel(session, id)
    return reply()


@router.get("/jobs/{id}/log", response_class=PlainTextResponse)
def get_job_log(id: str, cloud: CurrentCloud, _caller: CurrentSession) -> Response:  # noqa: A002
    """Ansible's output so far, secrets masked."""
    with cloud.database.reading() as session:
        job = service.get(session, id)
    path = job_log_path(cloud.settings.log_folder, job.id)
    if not path.exists():
        return PlainTextResponse("")
    return FileResponse(path, media_type="text/plain; charset=utf-8")


@router.get(
    "/jobs/{id}/events",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
def watch_job(
    id: str,  # noqa: A002
    request: Request,
    cloud: CurrentCloud,
    _caller: CurrentSession,
    last_event_id: Annotated[str, Header()] = "0",
) -> EventSourceResponse:
    """Server-sent events until the job ends; ``Last-Event-ID`` takes up where one left off."""
    with cloud.database.reading() as session:
        job = service.get(session, id)
    number = int(last_event_id) if last_event_id.isdigit() else 0
    return EventSourceResponse(_events(cloud, request, job.id, number), ping=15)


async def _events(
    cloud: Cloud, request: Request, job_id: str, number: int
) -> AsyncIterator[ServerSentEvent]:
    while not await request.is_disconnected():
        found, ended = await run_in_threadpool(_events_after, cloud, job_id, number)
        for event in found:
            number = event.number
            data = {"at": event.at.isoformat(), **event.data}
            yield ServerSentEvent(id=str(number), event="progress", data=json.dumps(data))
        if ended:
            return
        await asyncio.sleep(_POLL_SECONDS)


def _events_after(cloud: Cloud, job_id: str, number: int) -> tuple[list[JobEvent], bool]:
    with cloud.database.reading() as session:
        ended = service.get(session, job_id).ended
        return service.events_after(session, job_id, number), ended
