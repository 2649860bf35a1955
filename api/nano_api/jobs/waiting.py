# SPDX-License-Identifier: Apache-2.0
"""Waiting for the end of a job, for endpoints that answer only then."""

from __future__ import annotations

import asyncio
import time

from starlette.concurrency import run_in_threadpool

from nano_api import API_PREFIX
from nano_api.cloud import Cloud
from nano_api.errors import JobFailed, NoAnswerInTime
from nano_api.jobs import service
from nano_api.jobs.tables import Job

_POLL_SECONDS = 0.05


async def wait(cloud: Cloud, job_id: str) -> Job:
    """The job once it has ended well.

    :raises JobFailed: it ended badly, or the cell does not answer; with the job's own reason
    :raises NoAnswerInTime: it goes on; the message says where to look
    """
    deadline = time.monotonic() + cloud.settings.job_wait_seconds
    while True:
        job = await run_in_threadpool(_read, cloud, job_id)
        if job.state == "succeeded":
            return job
        if job.ended or job.state == "unknown":
            message = job.error_message or f"job {job.id} was {job.state}"
            if job.state == "unknown":
                message += f"; whether it was done is seen when the cell answers (job {job.id})"
            code = job.error_code or ("canceled" if job.state == "canceled" else "internal")
            raise JobFailed(code, message)
        if time.monotonic() > deadline:
            raise NoAnswerInTime(
                f"no answer within {cloud.settings.job_wait_seconds:.0f} s; job {job.id} goes on: "
                f"see {API_PREFIX}/jobs/{job.id}"
            )
        await asyncio.sleep(_POLL_SECONDS)


def _read(cloud: Cloud, job_id: str) -> Job:
    with cloud.database.reading() as session:
        return service.get(session, job_id)
