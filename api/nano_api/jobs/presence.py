# SPDX-License-Identifier: Apache-2.0
"""Which workers live, so that the jobs of dead ones can be taken up and of others never.

A SQLite database belongs to one process (``data_folder`` sees to that): whoever is not us is
dead. On PostgreSQL a worker holds an advisory lock for as long as its connection lives, which the
server gives back when the process dies, however that happens.
"""

from __future__ import annotations

import hashlib
import threading

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from nano_api.database import Database

_CHECK_SECONDS = 2.0


class Presence:
    """This worker's sign of life; ``lives`` looks for that of another."""

    def __init__(self, database: Database, worker: str) -> None:
        self._database = database
        self._worker = worker
        self._connection: Connection | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="presence", daemon=True)

    def start(self) -> None:
        """Be present, before the first job is claimed."""
        if self._database.is_shared:
            self._connect()
            self._thread.start()

    def stop(self) -> None:
        """Be absent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._disconnect()

    def lives(self, worker: str | None) -> bool:
        """Whether a worker that was seen running a job is still there."""
        if worker == self._worker:
            return True
        if worker is None or not self._database.is_shared:
            return False
        with self._database.engine.connect() as connection:
            # Given back at the end of this transaction, at once.
            free = connection.execute(
                text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _key(worker)}
            ).scalar_one()
        return not free

    def _connect(self) -> None:
        connection = self._database.engine.connect()
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _key(self._worker)})
        self._connection = connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            # Closed for good: in the pool it would keep the lock.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _keep(self) -> None:
        """After the database was restarted the lock is gone; have it again."""
        while not self._stopping.wait(_CHECK_SECONDS):
            try:
                if self._connection is None:
                    self._connect()
                else:
                    self._connection.execute(text("SELECT 1"))
            except DBAPIError:
                self._disconnect()


def _key(worker: str) -> int:
    """A worker's number of 64 bits; another range than that of the writers' lock."""
    digest = hashlib.sha256(f"nano-cloud {worker}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
