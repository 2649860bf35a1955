# SPDX-License-Identifier: Apache-2.0
"""What every endpoint that changes a cell does: submit a job, name it, wait for its end."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from nano_api.cloud import Cloud
from nano_api.jobs import waiting
from nano_api.jobs.service import Requester
from nano_api.jobs.tables import Job
from nano_api.sessions.dependency import SessionInfo

JOB_HEADER = "Nano-Job"


def requester_of(session: SessionInfo) -> Requester:
    """The session's user and address."""
    return Requester(session.user, session.address)


def name_job(response: Response, job: Job) -> None:
    """Tell the client which job its request started."""
    response.headers[JOB_HEADER] = job.id


async def submit_and_wait(
    cloud: Cloud, response: Response, submit: Callable[[Session], Job]
) -> Job:
    """Submit in a transaction that ends before the wait begins.

    :raises CloudError: the submission was refused, or the job ended badly
    """

    def in_transaction() -> Job:
        with cloud.database.transaction() as session:
            return submit(session)

    job = await run_in_threadpool(in_transaction)
    name_job(response, job)
    return await waiting.wait(cloud, job.id)
