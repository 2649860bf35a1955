# SPDX-License-Identifier: Apache-2.0
"""One process observes at a time: the one whose lease in the database has not run out."""

from __future__ import annotations

import uuid
from datetime import timedelta

from nano_api.clock import now
from nano_api.database import Database
from nano_api.live.tables import Lease

_NAME = "observer"
_LENGTH = timedelta(seconds=15)
#: How often it is renewed, and how often others look whether it is free.
RENEW_SECONDS = 5.0


class ObserverLease:
    """This process's claim."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._alone = database.engine.dialect.name == "sqlite"
        self._me = f"observer-{uuid.uuid4()}"

    def renew(self) -> bool:
        """Take the lease or keep it; False while another process has it.

        SQLite's file has one process, which need not wait for a lease of one that was killed.
        """
        if self._alone:
            return True
        with self._database.transaction() as session:
            lease = session.get(Lease, _NAME, with_for_update=True)
            if lease is None:
                session.add(Lease(name=_NAME, holder=self._me, until=now() + _LENGTH))
                return True
            if lease.holder != self._me and lease.until > now():
                return False
            lease.holder, lease.until = self._me, now() + _LENGTH
            return True

    def give_back(self) -> None:
        """Let another process have it at once."""
        if self._alone:
            return
        with self._database.transaction() as session:
            lease = session.get(Lease, _NAME, with_for_update=True)
            if lease is not None and lease.holder == self._me:
                session.delete(lease)
