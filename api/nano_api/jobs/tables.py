# SPDX-License-Identifier: Apache-2.0
"""Jobs, their locks and their events.

A job is one unit of work on a cell. Its row is the truth: a worker that dies leaves a row that
recovery finishes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.clock import now
from nano_api.database import Base

State = Literal["queued", "running", "unknown", "succeeded", "failed", "canceled"]

#: States that a job does not leave again.
ENDED: tuple[State, ...] = ("succeeded", "failed", "canceled")

#: ``run`` does the operation; ``settle`` finds out (and clears away) what a broken run left.
Phase = Literal["run", "settle"]


class Job(Base):
    """One unit of work, from the request to what was observed at its end."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_claim", "state", "not_before"),
        Index("ix_jobs_subject", "subject_kind", "subject_id"),
        Index("ix_jobs_created_at", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    operation: Mapped[str] = mapped_column(String(64))
    subject_kind: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[str] = mapped_column(String(128))
    subject_name: Mapped[str] = mapped_column(String(255))
    cells: Mapped[list[str]]
    parameters: Mapped[dict[str, Any]]
    requested_by: Mapped[str] = mapped_column(String(128))
    requested_from: Mapped[str] = mapped_column(String(64))

    state: Mapped[State] = mapped_column(String(16), default="queued")
    phase: Mapped[Phase] = mapped_column(String(16), default="run")
    percent: Mapped[int] = mapped_column(default=0)
    step: Mapped[str] = mapped_column(String(128), default="")
    attempt: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(64))
    not_before: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)
    results: Mapped[list[Any]] = mapped_column(default=list)

    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED


class JobLock(Base):
    """A resource that belongs to a job until that job has ended."""

    __tablename__ = "job_locks"

    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    resource_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)


class JobEvent(Base):
    """Something to tell a watcher; ``number`` counts up within a job and can be resumed from."""

    __tablename__ = "job_events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    data: Mapped[dict[str, Any]]
