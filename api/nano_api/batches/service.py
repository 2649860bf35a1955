# SPDX-License-Identifier: Apache-2.0
"""Batches: one job, one run, a state for each guest. A batch's id is its job's."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.errors import InvalidInput, NotFound
from nano_api.guests import service as guests
from nano_api.guests.service import GuestOrder
from nano_api.guests.tables import Guest
from nano_api.jobs import service as jobs
from nano_api.jobs.service import Lock, Requester, Subject
from nano_api.jobs.tables import Job

Kind = Literal["create", "delete", "stop"]

MOST_GUESTS = 100
_OPERATIONS: dict[str, str] = {
    "create": "guests_create",
    "delete": "guests_delete",
    "stop": "guests_stop",
}


@dataclass(frozen=True)
class BatchItem:
    """One guest of a batch. ``state``: running, done or failed."""

    id: str
    name: str
    state: Literal["running", "done", "failed"]
    error: str
    percent: int


def create(
    session: Session, cloud: Cloud, orders: Sequence[GuestOrder], requester: Requester
) -> Job:
    """Place all guests, or none, and submit the job that makes them.

    :raises CloudError: the first thing that is wrong with any of them
    """
    rows = [guests.place(session, cloud, order) for order in orders]
    job = _submit(session, "create", rows, requester, {})
    for row in rows:
        row.job_id = job.id
    return job


def delete(session: Session, ids: Sequence[str], force: bool, requester: Requester) -> Job:
    """Submit the job that deletes guests; running ones fail unless ``force``.

    :raises NotFound: there is no guest of one of the ids
    """
    rows = _guests(session, ids)
    job = _submit(session, "delete", rows, requester, {"force": force})
    for row in rows:
        row.state = "deleting"
    return job


def stop(session: Session, ids: Sequence[str], force: bool, requester: Requester) -> Job:
    """Submit the job that stops guests; those that are stopped already are done.

    :raises NotFound: there is no guest of one of the ids
    """
    return _submit(session, "stop", _guests(session, ids), requester, {"force": force})


def items(session: Session, kind: Kind, batch_id: str) -> tuple[bool, list[BatchItem]]:
    """(whether it has ended, what became of each guest).

    :raises NotFound: there is no such batch of this kind
    """
    job = session.get(Job, batch_id)
    if job is None or job.operation != _OPERATIONS[kind]:
        raise NotFound(f"invalid batch '{batch_id[:80]}'", batch=batch_id[:80])
    results = {result["id"]: result for result in job.results}
    return job.ended, [_item(job, each, results.get(each["id"])) for each in _named(job)]


def _item(job: Job, guest: dict[str, Any], result: dict[str, Any] | None) -> BatchItem:
    if not job.ended:
        return BatchItem(guest["id"], guest["name"], "running", "", job.percent)
    if result is not None and result["state"] == "succeeded":
        return BatchItem(guest["id"], guest["name"], "done", "", 100)
    error = (result or {}).get("error") or job.error_message or f"the job was {job.state}"
    return BatchItem(guest["id"], guest["name"], "failed", str(error), job.percent)


def _named(job: Job) -> list[dict[str, Any]]:
    return list(job.parameters["guests"])


def _guests(session: Session, ids: Sequence[str]) -> list[Guest]:
    _check_count(len(ids), "guest")
    wanted = list(dict.fromkeys(ids))
    rows = {row.id: row for row in session.scalars(select(Guest).where(Guest.id.in_(wanted)))}
    for guest_id in wanted:
        row = rows.get(guest_id)
        if row is None or row.state == "failed":
            raise NotFound(f"invalid guest '{guest_id[:80]}'", field="guest", guest=guest_id[:80])
    return [rows[guest_id] for guest_id in wanted]


def check_count(count: int) -> None:
    """:raises InvalidInput: none, or more than a batch may have"""
    _check_count(count, "count")


def _check_count(count: int, field: str) -> None:
    if not 1 <= count <= MOST_GUESTS:
        raise InvalidInput(f"{field} must be 1 to {MOST_GUESTS} guests, not {count}", field=field)


def _submit(
    session: Session,
    kind: Kind,
    rows: Sequence[Guest],
    requester: Requester,
    parameters: dict[str, Any],
) -> Job:
    batch = str(uuid.uuid4())
    named = [{"id": row.id, "name": row.name, "cell": row.cell} for row in rows]
    for row in rows:
        jobs.check_free(session, Lock("guest", row.id), row.name)
    return jobs.submit(
        session,
        _OPERATIONS[kind],
        subject=Subject("batch", batch, f"{len(rows)} guests"),
        cells=sorted({row.cell for row in rows}),
        requester=requester,
        parameters={**parameters, "guests": named},
        locks=[Lock("guest", row.id) for row in rows],
    )
