# SPDX-License-Identifier: Apache-2.0
"""What every endpoint that changes a cell does: submit a job, name it, wait for its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from fastapi import Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from nano_api.cloud import Cloud
from nano_api.errors import Busy
from nano_api.jobs import waiting
from nano_api.jobs.service import SYSTEM, Requester
from nano_api.jobs.tables import Job
from nano_api.sessions.dependency import SessionInfo

JOB_HEADER = "Nano-Job"
_POLL_SECONDS = 0.2

Submitted = TypeVar("Submitted")


def requester_of(session: SessionInfo) -> Requester:
    """The session's user and address."""
    return Requester(session.user, session.address)


def name_job(response: Response, job: Job) -> None:
    """Tell the client which job its request started."""
    response.headers[JOB_HEADER] = job.id


async def submit_in_turn(cloud: Cloud, submit: Callable[[Session], Submitted]) -> Submitted:
    """What ``submit`` gives in a transaction of its own.

    A job that nobody asked for, such as one about a cell's lease, is waited for: to whoever made
    no such job "busy" means nothing.

    :raises Busy: somebody's job goes on with the same object, or one of ours for too long
    :raises CloudError: the submission was refused
    """
    deadline = time.monotonic() + cloud.settings.job_wait_seconds

    def in_transaction() -> Submitted:
        with cloud.database.transaction() as session:
            return submit(session)

    while True:
        try:
            return await run_in_threadpool(in_transaction)
        except Busy as error:
            holder = error.context.get("job")
            ours = holder and await run_in_threadpool(_is_our_own, cloud, holder)
            if not ours or time.monotonic() > deadline:
                raise
        await asyncio.sleep(_POLL_SECONDS)


def _is_our_own(cloud: Cloud, job_id: str) -> bool:
    with cloud.database.reading() as session:
        job = session.get_one(Job, job_id)
        return Requester(job.requested_by, job.requested_from) == SYSTEM


async def submit_and_wait(
    cloud: Cloud, response: Response, submit: Callable[[Session], Job]
) -> Job:
    """Submit in a transaction that ends before the wait begins.

    :raises CloudError: the submission was refused, or the job ended badly
    """
    job = await submit_in_turn(cloud, submit)
    name_job(response, job)
    return await waiting.wait(cloud, job.id)
