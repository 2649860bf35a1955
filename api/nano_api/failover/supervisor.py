# SPDX-License-Identifier: Apache-2.0
"""Looks at what the observer wrote, and submits what is to be done about lost cells."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.errors import Busy, CloudError
from nano_api.failover import service
from nano_api.failover.service import Situation
from nano_api.jobs.tables import Job

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
#: After the start of the service, the time to reach every cell.
_FIRST_LOOK_SECONDS = 30.0
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 15.0, 900.0


class Supervisor:
    """A thread beside the observer. What it knows is in the database, pauses apart."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="failover", daemon=True)
        self._begun = time.monotonic()
        self._seen_alive: set[str] = set()
        self._lost_since: dict[str, float] = {}
        #: Cell → (when to try again, the pause that led to it).
        self._pauses: dict[str, tuple[float, float]] = {}

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                self.look()
            except Exception:
                # A thread that dies would end failover, unseen.
                log.exception("the look at lost cells failed")

    def look(self) -> None:
        """One round over all cells."""
        with self._cloud.database.reading() as session:
            cells = service.situations(session)
        for cell in cells:
            if cell.alive:
                self._seen_alive.add(cell.cell)
                self._lost_since.pop(cell.cell, None)
                if cell.lease != cell.wanted:
                    self._try(cell.cell, service.settle_lease)
                else:
                    self._pauses.pop(cell.cell, None)
            elif cell.wanted and self._is_lost(cell):
                self._try(cell.cell, service.take_over)

    def _is_lost(self, cell: Situation) -> bool:
        """Whether it has been silent for long enough to act."""
        now = time.monotonic()
        since = self._lost_since.setdefault(cell.cell, now)
        if cell.cell not in self._seen_alive and now - self._begun < _FIRST_LOOK_SECONDS:
            return False
        return now - since >= self._cloud.settings.failover_after_seconds

    def _try(self, cell: str, submit: Callable[[Session, Cloud, str], Job | None]) -> None:
        """Submit a job unless the last one about the cell is too recent."""
        now = time.monotonic()
        due, pause = self._pauses.get(cell, (0.0, _SHORTEST_PAUSE_SECONDS / 2))
        if now < due:
            return
        try:
            with self._cloud.database.transaction() as session:
                job = submit(session, self._cloud, cell)
        except Busy:
            return
        except CloudError as error:
            log.error("nothing can be done about a cell", cell=cell, reason=error.message)
            job = None
        if job is not None:
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            self._pauses[cell] = (now + pause, pause)
            log.warning("failover", cell=cell, operation=job.operation, job=job.id)
