# SPDX-License-Identifier: Apache-2.0
"""Jobs of a worker that died: end what is left of their runs and take them up again.

ansible-playbook lives on when the process that started it is killed, and the module that it
started on a cell lives on when the connection ends. So first every process of the old run is
killed; then the job is run again (its modules wait on the cell for the lock that an old module
still holds) or, where repeating could harm, the cell is only read.
"""

from __future__ import annotations

import shutil

import structlog
from sqlalchemy import select

from nano_api.cloud import Cloud
from nano_api.jobs import service
from nano_api.jobs.tables import Job
from nano_api.operations import OPERATIONS
from nano_api.worker.process import kill_processes_of

log = structlog.get_logger(__name__)


def recover(cloud: Cloud) -> int:
    """Take up every job that was running; to be called before the workers start.

    Returns how many there were.
    """
    with cloud.database.reading() as session:
        lost = list(session.scalars(select(Job).where(Job.state == "running")))
    for job in lost:
        kill_processes_of(job.id)
        resumed = job.phase == "settle" or OPERATIONS[job.operation].resume == "rerun"
        with cloud.database.transaction() as session:
            found = service.get(session, job.id)
            if resumed:
                service.rerun(session, found)
            else:
                why = "the server was restarted in the middle of the job"
                service.settle(session, found, "internal", why)
        log.info("took up a job again", job=job.id, operation=job.operation, attempt=job.attempt)
    # Folders of runs that are gone hold variables in clear.
    for folder in cloud.settings.run_folder.iterdir():
        shutil.rmtree(folder)
    return len(lost)
