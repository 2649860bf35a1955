# SPDX-License-Identifier: Apache-2.0
"""One small cloud in one process: every kind of object is there, and jobs end at once.

No cell is behind it. A job ends well without a run, as when a worker finished it: what answers
look like can be seen so, and nothing else. What happens on cells is shown by ``tests/e2e``.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from nano_api import API_PREFIX
from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.jobs import service as jobs
from nano_api.jobs.tables import ENDED, Job
from nano_api.main import create_app
from nano_api.settings import Settings
from nano_api.users.names import PORTAL_MENUS

PASSWORD = "Correct-horse-7"
MIB, GIB = 1 << 20, 1 << 30
#: Written by every request, refused or not.
_TRAILS = frozenset({"operation_log", "operation_log_counter", "failed_logins"})
#: Of an upload that goes on, or of the last one that failed.
_PROGRESS = "expected_bytes"


def settings_in(folder: Path, **changes: Any) -> Settings:
    """Settings of an empty data folder."""
    return Settings(data=folder / "data", max_disk_bytes=GIB, **changes)


class World:
    """The cloud and a client of it that is logged in as ``admin`` of ``admin``."""

    def __init__(self, app: FastAPI, client: TestClient) -> None:
        self.app = app
        self.client = client
        self.cloud: Cloud = app.state.cloud

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """One request below the API's prefix."""
        if body is not None:
            options["json"] = body
        reply: httpx.Response = self.client.request(method, f"{API_PREFIX}{path}", **options)
        return reply

    def data(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The data of a request that must succeed."""
        envelope = self.call(method, path, body, **options).json()
        assert envelope["error_code"] == 0, (method, path, envelope)
        return envelope["data"]

    def log_in(self, user: str = "admin") -> str:
        """Log in, and use the session from now on."""
        body = {"user": user, "password": PASSWORD, "nonce": "0123456789abcdef"}
        session: str = self.data("POST", "/sessions/", body)["session"]
        self.client.headers["Nano-Session"] = session
        return session

    def add_cells(self, *names: str, pool: str | None = "default") -> None:
        """Cells as the inventory and the observer leave them."""
        with self.cloud.database.transaction() as session:
            for number, name in enumerate(names, 1):
                session.add(
                    Cell(
                        name=name,
                        address=f"192.0.2.{number}",
                        pool=pool,
                        alive=True,
                        cores=64,
                        memory_bytes=64 * GIB,
                        memory_available_bytes=64 * GIB,
                        disk_bytes=900 * GIB,
                        disk_available_bytes=900 * GIB,
                    )
                )

    def order(self, name: str, **changes: Any) -> dict[str, Any]:
        """A small guest."""
        return {
            "name": name,
            "owner": "admin",
            "group": "admin",
            "pool": "default",
            "cores": 2,
            "memory": 256 * MIB,
            "disks": [64 * MIB, 64 * MIB],
            "template": "centos-7",
            **changes,
        }

    def guest(self, name: str, **row: Any) -> str:
        """A guest that was created; ``row`` are columns to set."""
        made: str = self.data("POST", "/guests/", self.order(name))["id"]
        self.end_jobs()
        self.set_guest(made, **{"state": "created", **row})
        return made

    def set_guest(self, guest_id: str, **row: Any) -> None:
        """Write columns of a guest."""
        with self.cloud.database.transaction() as session:
            guest = session.get_one(Guest, guest_id)
            for name, value in row.items():
                setattr(guest, name, value)

    def end_jobs(self) -> None:
        """End every job well."""
        with self.cloud.database.transaction() as session:
            for job in session.scalars(select(Job).where(Job.state.not_in(ENDED))):
                jobs.finish(session, job, "succeeded")

    @contextmanager
    def jobs_that_end(self) -> Iterator[None]:
        """Jobs end soon after they were submitted."""
        over = threading.Event()

        def end_them() -> None:
            while not over.wait(0.03):
                with self.cloud.database.reading() as session:
                    waiting = session.scalar(select(Job.id).where(Job.state.not_in(ENDED)).limit(1))
                if waiting:
                    self.end_jobs()

        thread = threading.Thread(target=end_them)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


class Database:
    """The world's database, to be compared and put back."""

    def __init__(self, world: World) -> None:
        self._file = world.cloud.settings.data / "nano.db"

    def rows(self) -> dict[str, list[Any]]:
        """All that a request may not change when it is refused."""
        with sqlite3.connect(self._file) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {
                name: connection.execute(
                    f'SELECT {_columns(connection, name)} FROM "{name}"'
                ).fetchall()
                for (name,) in tables.fetchall()
                if name not in _TRAILS
            }

    def saved(self) -> sqlite3.Connection:
        """A copy."""
        copy = sqlite3.connect(":memory:")
        with sqlite3.connect(self._file) as connection:
            connection.backup(copy)
        return copy

    def restore(self, copy: sqlite3.Connection) -> None:
        """As it was when the copy was made."""
        with sqlite3.connect(self._file, timeout=20) as connection:
            copy.backup(connection)


def _columns(connection: sqlite3.Connection, table: str) -> str:
    found = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
    return ", ".join(f'"{name}"' for (name,) in found if name != _PROGRESS)


@contextmanager
def a_world(folder: Path, **changes: Any) -> Iterator[World]:
    """An empty cloud; nobody has initialised it."""
    app = create_app(settings_in(folder, **changes), background=False)
    peer = ("192.0.2.7", 4711)
    with TestClient(app, base_url="http://cloud.test", client=peer) as client:
        yield World(app, client)


def initialise(world: World) -> None:
    """Make ``admin`` and log in."""
    account = {"user": "admin", "password": PASSWORD, "menu": list(PORTAL_MENUS)}
    world.data("POST", "/system/", account)
    world.log_in()
