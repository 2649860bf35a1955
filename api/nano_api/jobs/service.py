# SPDX-License-Identifier: Apache-2.0
"""Submitting, claiming and ending jobs. Every function works inside the caller's transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from nano_api.clock import now
from nano_api.errors import Busy, Conflict, NotFound
from nano_api.jobs.tables import ENDED, Job, JobEvent, JobLock, State

log = structlog.get_logger(__name__)

#: Longest pause between two tries to settle a job on a cell that does not answer.
_LONGEST_PAUSE_SECONDS = 15


@dataclass(frozen=True)
class Lock:
    """A resource that a job needs for itself."""

    kind: str
    resource_id: str


@dataclass(frozen=True)
class Subject:
    """What a job is about, as people know it."""

    kind: str
    id: str
    name: str


@dataclass(frozen=True)
class Requester:
    """Who asked, and from where."""

    user: str
    address: str


#: Of jobs that nobody asked for.
SYSTEM = Requester("failover", "")


def submit(
    session: Session,
    operation: str,
    *,
    subject: Subject,
    cells: Sequence[str],
    requester: Requester,
    parameters: dict[str, Any] | None = None,
    locks: Iterable[Lock] = (),
) -> Job:
    """Queue a job and take its locks, all or nothing.

    ``parameters`` is stored in clear: no secrets in it.

    :raises Busy: another job has one of the locks; names that job
    """
    wanted = sorted({(lock.kind, lock.resource_id) for lock in (*locks, _lock_of(subject))})
    for kind, resource_id in wanted:
        check_free(session, Lock(kind, resource_id), subject.name)
    job = Job(
        id=str(uuid.uuid4()),
        operation=operation,
        subject_kind=subject.kind,
        subject_id=subject.id,
        subject_name=subject.name,
        cells=list(cells),
        parameters=parameters or {},
        requested_by=requester.user,
        requested_from=requester.address,
    )
    session.add(job)
    session.flush()
    session.add_all(JobLock(kind=k, resource_id=r, job_id=job.id) for k, r in wanted)
    record(session, job.id, {"state": "queued", "percent": 0})
    log.info("a job is submitted", job=job.id, operation=operation, subject=subject.id)
    return job


def check_free(session: Session, lock: Lock, name: str) -> None:
    """:raises Busy: a job has the lock; names the object and that job"""
    held = session.get(JobLock, (lock.kind, lock.resource_id))
    if held is None:
        return
    holder = session.get_one(Job, held.job_id)
    raise Busy(
        f"{lock.kind} '{name}' is busy: job {holder.id} ({holder.operation}, "
        f"{holder.state}) since {holder.created_at:%Y-%m-%d %H:%M:%S} UTC",
        kind=lock.kind,
        id=lock.resource_id,
        job=holder.id,
    )


def _lock_of(subject: Subject) -> Lock:
    return Lock(subject.kind, subject.id)


def get(session: Session, job_id: str) -> Job:
    """:raises NotFound: no such job"""
    job = session.get(Job, job_id)
    if job is None:
        raise NotFound(f"no job '{job_id}'", job=job_id)
    return job


def claim(session: Session, worker: str) -> Job | None:
    """The oldest job that is due, now this worker's; None when there is none.

    ``unknown`` jobs are due again after their pause, to be settled.
    """
    due = (
        select(Job)
        .where(Job.state.in_(("queued", "unknown")))
        .where(or_(Job.not_before.is_(None), Job.not_before <= now()))
        .order_by(Job.created_at)
        .limit(1)
    )
    if session.get_bind().dialect.name != "sqlite":
        due = due.with_for_update(skip_locked=True)
    job = session.scalars(due).one_or_none()
    if job is None:
        return None
    job.state = "running"
    job.worker = worker
    job.attempt += 1
    job.started_at = job.started_at or now()
    record(session, job.id, {"state": "running", "percent": job.percent, "phase": job.phase})
    return job


def show_progress(session: Session, job_id: str, percent: int, step: str) -> bool:
    """Store how far a job is; a percentage never falls. True when its end was asked for."""
    job = session.get_one(Job, job_id)
    percent = max(percent, job.percent)
    if (percent, step) != (job.percent, job.step):
        job.percent, job.step = percent, step
        record(session, job_id, {"state": job.state, "percent": percent, "step": step})
    return job.cancel_requested


def finish(
    session: Session,
    job: Job,
    state: State,
    *,
    error_code: str | None = None,
    error_message: str | None = None,
    results: list[Any] | None = None,
) -> None:
    """End a job and give its locks back."""
    if state not in ENDED:
        raise ValueError(f"{state} does not end a job")
    job.state = state
    job.error_code, job.error_message = error_code, error_message
    job.results = results or []
    job.ended_at = now()
    job.worker = None
    if state == "succeeded":
        job.percent = 100
    session.execute(delete(JobLock).where(JobLock.job_id == job.id))
    record(session, job.id, _end_of(job))


def postpone(session: Session, job: Job, code: str, message: str) -> None:
    """The outcome is unknown: keep the locks and settle the job after a growing pause."""
    job.state = "unknown"
    job.phase = "settle"
    job.worker = None
    job.error_code, job.error_message = code, message
    pause = min(2 ** min(job.attempt, 6), _LONGEST_PAUSE_SECONDS)
    job.not_before = now() + timedelta(seconds=pause)
    record(session, job.id, {**_end_of(job), "next_try": job.not_before.isoformat()})


def settle(session: Session, job: Job, code: str, message: str) -> None:
    """Put the cell in order and read it, at once; then the job ends for the reason given."""
    job.error_code, job.error_message = code, message
    job.phase = "settle"
    rerun(session, job)


def rerun(session: Session, job: Job) -> None:
    """Queue a job's phase again from its beginning; phases are safe to repeat."""
    job.state = "queued"
    job.worker = None
    job.not_before = None
    record(session, job.id, {"state": "queued", "percent": job.percent, "phase": job.phase})


def request_cancel(session: Session, job_id: str) -> Job:
    """Ask for a job's end. It ends when the cell has been put in order.

    :raises NotFound: no such job
    :raises Conflict: it has ended already
    """
    job = get(session, job_id)
    if job.ended:
        raise Conflict(f"job '{job_id}' has ended already ({job.state})", job=job_id)
    job.cancel_requested = True
    record(session, job.id, {"state": job.state, "percent": job.percent, "canceling": True})
    return job


def record(session: Session, job_id: str, data: dict[str, Any]) -> None:
    """Append an event for those who watch the job."""
    highest = select(func.coalesce(func.max(JobEvent.number), 0)).where(JobEvent.job_id == job_id)
    number = session.execute(highest).scalar_one() + 1
    session.add(JobEvent(job_id=job_id, number=number, data=data))
    session.flush()


def events_after(session: Session, job_id: str, number: int) -> list[JobEvent]:
    """The events with a higher number, in order."""
    query = select(JobEvent).where(JobEvent.job_id == job_id, JobEvent.number > number)
    return list(session.scalars(query.order_by(JobEvent.number)))


def recent(
    session: Session,
    *,
    limit: int,
    before: datetime | None = None,
    state: str | None = None,
    subject_id: str | None = None,
) -> list[Job]:
    """The newest jobs first, optionally of one state or about one object."""
    query = select(Job)
    if before is not None:
        query = query.where(Job.created_at < before)
    if state is not None:
        query = query.where(Job.state == state)
    if subject_id is not None:
        query = query.where(Job.subject_id == subject_id)
    return list(session.scalars(query.order_by(Job.created_at.desc()).limit(limit)))


def _end_of(job: Job) -> dict[str, Any]:
    data: dict[str, Any] = {"state": job.state, "percent": job.percent}
    if job.error_message:
        data["error"] = {"code": job.error_code, "message": job.error_message}
    return data
