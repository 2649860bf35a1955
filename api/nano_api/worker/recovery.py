# SPDX-License-Identifier: Apache-2.0
"""Jobs of a worker that died: end what is left of their runs and take them up again.

ansible-playbook lives on when the process that started it is killed, and the module that it
started on a cell lives on when the connection ends. So first every process of the old run is
killed; then the job is run again (its modules wait on the cell for the lock that an old module
still holds) or, where repeating could harm, the cell is only read.
"""

from __future__ import annotations

import shutil
import threading

import structlog
from sqlalchemy import select

from nano_api.cloud import Cloud
from nano_api.jobs import service
from nano_api.jobs.presence import Presence
from nano_api.jobs.tables import Job
from nano_api.operations import OPERATIONS
from nano_api.worker.process import kill_processes_of

log = structlog.get_logger(__name__)

_JOB_ID_LENGTH = 36


def recover(cloud: Cloud, presence: Presence) -> int:
    """Take up every job whose worker died; to be called before our own workers start.

    In a database that others use too nothing is taken up here: that takes the patience of
    ``Watch``. Returns how many there were.
    """
    running = _running(cloud)
    lost = [job for job in running if not presence.lives(job.worker)]
    if cloud.database.is_shared:
        lost = []
    for job in lost:
        take_up(cloud, job)
    # Folders of runs that are gone hold variables in clear.
    going_on = {job.id for job in running} - {job.id for job in lost}
    for folder in cloud.settings.run_folder.iterdir():
        if folder.name[:_JOB_ID_LENGTH] not in going_on:
            shutil.rmtree(folder)
    return len(lost)


def take_up(cloud: Cloud, job: Job) -> None:
    """Have a job of a dead worker done by whoever claims it next."""
    kill_processes_of(job.id)
    for folder in cloud.settings.run_folder.glob(f"{job.id}-*"):
        shutil.rmtree(folder)
    resumed = job.phase == "settle" or OPERATIONS[job.operation].resume == "rerun"
    with cloud.database.transaction() as session:
        found = service.get(session, job.id)
        if found.state != "running" or found.worker != job.worker:
            return  # another process was faster
        if resumed:
            service.rerun(session, found)
        else:
            why = "the server was restarted in the middle of the job"
            service.settle(session, found, "internal", why)
    log.info("took up a job again", job=job.id, operation=job.operation, attempt=job.attempt)


class Watch:
    """Where several processes share the database: looks for jobs of those that died."""

    #: Seen dead for so long before a job is taken up: a restarted database frees all locks at once.
    patience_seconds = 10.0

    def __init__(self, cloud: Cloud, presence: Presence) -> None:
        self._cloud = cloud
        self._presence = presence
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recovery", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        if self._cloud.database.is_shared:
            self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        dead: set[tuple[str, str | None]] = set()
        while not self._stopping.wait(self.patience_seconds):
            try:
                dead = self._look(dead)
            except Exception:
                log.exception("looking for jobs of dead workers failed")

    def _look(self, dead_before: set[tuple[str, str | None]]) -> set[tuple[str, str | None]]:
        dead = set()
        for job in _running(self._cloud):
            if not self._presence.lives(job.worker):
                if (job.id, job.worker) in dead_before:
                    take_up(self._cloud, job)
                else:
                    dead.add((job.id, job.worker))
        return dead


def _running(cloud: Cloud) -> list[Job]:
    with cloud.database.reading() as session:
        return list(session.scalars(select(Job).where(Job.state == "running")))
