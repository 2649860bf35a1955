# SPDX-License-Identifier: Apache-2.0
"""From looks to what is kept: live figures at once, rows in batches by a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.live.figures import CellNow
from nano_api.live.tables import CellFigures
from nano_api.observer.store import Finding, Store

log = structlog.get_logger(__name__)

#: Between two batches; what comes in between is written together.
_BATCH_SECONDS = 0.5
_SHARE_SECONDS = 4.0


class Recorder:
    """Takes findings from any thread."""

    def __init__(self, cloud: Cloud, read_again: Callable[[str, str], None]) -> None:
        self._cloud = cloud
        self._read_again = read_again
        self._store = Store(cloud.database)
        # SQLite's file has one process; of others nobody knows how many read it.
        self._shares = cloud.database.engine.dialect.name != "sqlite"
        self._lock = threading.Lock()
        self._waiting: dict[str, Finding] = {}
        self._forgotten: set[str] = set()
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._share_due = 0.0
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is there, then no more."""
        self._stopping.set()
        self._news.set()
        self._thread.join()

    def put(self, finding: Finding) -> None:
        """The newest of a cell; an older one that was not written yet is not missed."""
        if finding.look is not None:
            self._cloud.live.put(finding.look.cell, finding.look.figures)
            name = finding.look.cell
        elif finding.silence is not None:
            name = finding.silence.cell
        else:
            return
        with self._lock:
            self._waiting[name] = finding
        self._news.set()

    def forget(self, cell: str) -> None:
        """It is watched no longer."""
        with self._lock:
            self._waiting.pop(cell, None)
            self._forgotten.add(cell)
        self._cloud.live.forget(cell)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._news.wait()
            self._news.clear()
            try:
                self._write()
            except Exception:
                log.exception("what was observed could not be written")
            self._stopping.wait(_BATCH_SECONDS)

    def _write(self) -> None:
        with self._lock:
            findings, self._waiting = self._waiting, {}
            forgotten, self._forgotten = self._forgotten, set()
        for cell in forgotten:
            self._store.forget(cell)
        again = self._store.write(findings.values())
        for cell, guest_ids in again.items():
            for guest_id in guest_ids:
                self._read_again(cell, guest_id)
        if self._shares and time.monotonic() >= self._share_due:
            self._share_due = time.monotonic() + _SHARE_SECONDS
            with self._cloud.database.transaction() as session:
                share(session, self._cloud.live.in_memory())


def share(session: Session, cells: dict[str, CellNow]) -> None:
    """Write the figures down for processes that do not observe."""
    for name, figures in cells.items():
        session.merge(CellFigures(cell=name, at=figures.at, data=figures.packed()))
