# SPDX-License-Identifier: Apache-2.0
"""``/migrations/``: guests that move to other cells of their pool, running or not."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Response
from pydantic import BaseModel, Field

from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, WireModel, reply
from nano_api.jobs.submitting import name_job, requester_of
from nano_api.jobs.tables import Job
from nano_api.migrations import service
from nano_api.sessions.dependency import CurrentSession

router = NanoRouter(tags=["migrations"])


class MigrationIn(WireModel):
    """From where, to where, whom; without instances all, without a target where there is room."""

    source_pool: str = ""
    source_cell: str = ""
    target_pool: str = ""
    target_cell: str = ""
    instances: list[str] = Field(default_factory=list)


class MigrationBegun(BaseModel):
    """The migration's id, which is its job's too."""

    id: str


class MigrationOut(BaseModel):
    """How far a migration is."""

    id: str | None = None
    finished: bool
    progress: int
    error: str | None = None

    @classmethod
    def of(cls, job: Job, *, with_id: bool) -> MigrationOut:
        """The wire's form of a migration's job."""
        return cls(
            id=job.id if with_id else None,
            finished=job.ended,
            progress=job.percent,
            error=job.error_message if job.ended else None,
        )


@router.post("/migrations/", response_model=Envelope[MigrationBegun])
def begin_migration(
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[MigrationIn, Body(default_factory=MigrationIn)],
) -> Any:
    """Move guests to another cell. Running ones go on running; disks go along where needed."""
    with cloud.database.transaction() as session:
        job = service.begin(
            session,
            cloud,
            source_pool=body.source_pool,
            source_cell=body.source_cell,
            target_pool=body.target_pool,
            target_cell=body.target_cell,
            guest_ids=body.instances,
            requester=requester_of(caller),
        )
    name_job(response, job)
    return reply(MigrationBegun(id=job.id))


@router.get("/migrations/", response_model=Envelope[list[MigrationOut]])
def list_migrations(cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """Those that go on, and those of the last hour."""
    with cloud.database.reading() as session:
        return reply([MigrationOut.of(job, with_id=True) for job in service.recent(session)])


@router.get("/migrations/{id}", response_model=Envelope[MigrationOut])
def get_migration(
    id: str,  # noqa: A002  (the document's name)
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """One migration."""
    with cloud.database.reading() as session:
        return reply(MigrationOut.of(service.get(session, id), with_id=False))
