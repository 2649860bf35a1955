# SPDX-License-Identifier: Apache-2.0
"""The database: one engine, explicit transactions, and the base of all tables.

SQLite's WAL lets readers go on while one writer works. A write transaction takes the write lock
when it begins (``BEGIN IMMEDIATE``), so what it reads first is still true when it writes; two
writers wait for each other instead of failing half-way.

PostgreSQL, which several API processes may share, keeps the same promise: a write transaction
begins with an advisory lock, a reading sees one snapshot. ``docs/adr/0018-controller.md`` says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Engine, create_engine, event
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

_BUSY_TIMEOUT_MILLISECONDS = 15_000
#: PostgreSQL's number of the lock that all writers take ("nano" in ASCII).
_WRITERS_LOCK = 0x6E616E6F


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes in Python, naive UTC in databases that keep no zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.replace(tzinfo=UTC) if value else None


class Base(DeclarativeBase):
    """Base of every table."""

    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads it as a class attribute)
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        list[str]: JSON,
        list[int]: JSON,
    }


class Database:
    """The engine and its two kinds of transaction."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = create_engine(url, pool_size=20, max_overflow=20)
        self._writing: Engine = self.engine.execution_options(nano_writes=True)
        self._reading: Engine = self.engine
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        elif self.engine.dialect.name == "postgresql":
            self._reading = self.engine.execution_options(isolation_level="REPEATABLE READ")
            event.listen(self.engine, "begin", _begin_postgresql)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A write transaction: committed at the end of the block, rolled back on any exception."""
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A read-only snapshot; nothing done in it is kept."""
        with Session(self._reading, expire_on_commit=False) as session:
            yield session
            # What was read stays readable after the block; the end of the session would expire it.
            session.expunge_all()

    @property
    def is_shared(self) -> bool:
        """Whether other processes, on other hosts too, may use it at the same time."""
        return self.engine.dialect.name != "sqlite"

    def close(self) -> None:
        """Return every connection."""
        self.engine.dispose()


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, see _begin_sqlite
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MILLISECONDS}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("nano_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get("nano_writes", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")
