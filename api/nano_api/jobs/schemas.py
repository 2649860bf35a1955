# SPDX-License-Identifier: Apache-2.0
"""Jobs on the wire. Times are ISO 8601 with zone: these endpoints are ours, not Nano's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from nano_api.jobs.tables import Job


class JobErrorOut(BaseModel):
    """Why a job failed."""

    code: str
    message: str


class JobSubjectOut(BaseModel):
    """What a job is about."""

    kind: str
    id: str
    name: str


class JobOut(BaseModel):
    """A job. ``results`` has one entry per guest (or other subject)."""

    id: str
    operation: str
    subject: JobSubjectOut
    cells: list[str]
    state: str
    percent: int
    step: str
    attempt: int
    canceling: bool
    error: JobErrorOut | None = None
    results: list[dict[str, Any]]
    requested_by: str
    requested_from: str
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @classmethod
    def of(cls, job: Job) -> JobOut:
        """The wire's form of a row."""
        error = None
        if job.error_message:
            error = JobErrorOut(code=job.error_code or "internal", message=job.error_message)
        return cls(
            id=job.id,
            operation=job.operation,
            subject=JobSubjectOut(kind=job.subject_kind, id=job.subject_id, name=job.subject_name),
            cells=job.cells,
            state=job.state,
            percent=job.percent,
            step=job.step,
            attempt=job.attempt,
            canceling=job.cancel_requested and not job.ended,
            error=error,
            results=job.results,
            requested_by=job.requested_by,
            requested_from=job.requested_from,
            created_at=job.created_at,
            started_at=job.started_at,
            ended_at=job.ended_at,
        )
