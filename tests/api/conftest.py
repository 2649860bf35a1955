# SPDX-License-Identifier: Apache-2.0
"""A real application on a real SQLite file: nothing runs beside it, jobs stay queued."""

from __future__ import annotations

import functools
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nano_api.cloud import Cloud
from nano_api.database import Database
from nano_api.main import create_app
from nano_api.schema_versions import upgrade
from nano_api.settings import Settings
from nano_api.users.names import PORTAL_MENUS

# structlog's own default prints the local variables of every frame, which takes seconds.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

PASSWORD = "Correct-horse-7"


ADDRESS = "http://cloud.test/api/v1"
_PEER = ("192.0.2.7", 4711)


@functools.cache
def _tables() -> bytes:
    """A database file with every table and no rows: making it anew each time costs most."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/nano.db")
        upgrade(database)
        database.close()
        return Path(folder, "nano.db").read_bytes()


def small_settings(folder: Path, database_url: str = "") -> Settings:
    """Settings of an empty data folder; a disk of 1 GiB and an upload of 300 MiB are allowed."""
    if not database_url:
        folder.mkdir(mode=0o700, parents=True)
        (folder / "nano.db").write_bytes(_tables())
    return Settings(
        data=folder,
        database_url=database_url,
        max_disk_bytes=1 << 30,
        max_upload_bytes=300 << 20,
    )


@pytest.fixture
def settings(tmp_path: Path, new_database_url: Callable[[], str]) -> Settings:
    """Settings of an empty data folder."""
    return small_settings(tmp_path / "data", new_database_url())


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """The application, without worker and observer."""
    return create_app(settings, background=False)


@pytest.fixture
def cloud(app: FastAPI) -> Cloud:
    """What the application's requests share."""
    found: Cloud = app.state.cloud
    return found


@pytest.fixture
def anonymous(app: FastAPI) -> Iterator[TestClient]:
    """A client without a session, of a system that nobody has initialised."""
    with TestClient(app, base_url=ADDRESS, client=_PEER) as client:
        yield client


@pytest.fixture
def client(anonymous: TestClient) -> TestClient:
    """A client that is logged in as ``admin`` of the group ``admin``."""
    anonymous.headers["Nano-Session"] = log_in(anonymous)
    return anonymous


@pytest.fixture(scope="module")
def empty_client(
    tmp_path_factory: pytest.TempPathFactory, new_database_url: Callable[[], str]
) -> Iterator[TestClient]:
    """One uninitialised system for all tests of a module that leave it so: saves seconds."""
    settings = small_settings(tmp_path_factory.mktemp("empty") / "data", new_database_url())
    with TestClient(create_app(settings, background=False), base_url=ADDRESS) as client:
        yield client


@pytest.fixture(scope="module")
def shared_settings(
    tmp_path_factory: pytest.TempPathFactory, new_database_url: Callable[[], str]
) -> Settings:
    """Settings of the system of ``shared_client``."""
    return small_settings(tmp_path_factory.mktemp("shared") / "data", new_database_url())


@pytest.fixture(scope="module")
def shared_app(shared_settings: Settings) -> FastAPI:
    """The application of ``shared_client``."""
    return create_app(shared_settings, background=False)


@pytest.fixture(scope="module")
def shared_client(shared_app: FastAPI) -> Iterator[TestClient]:
    """A logged-in client of one system for all tests of a module that bring their own objects."""
    with TestClient(shared_app, base_url=ADDRESS, client=_PEER) as client:
        client.headers["Nano-Session"] = log_in(client)
        yield client


def log_in(client: httpx.Client) -> str:
    """Initialise the system and log in as its administrator; the session's id."""
    account = {"user": "admin", "password": PASSWORD}
    made = client.post("/system/", json={**account, "menu": list(PORTAL_MENUS)}).json()
    assert made == {"error_code": 0, "message": "", "data": ""}
    opened = client.post("/sessions/", json={**account, "nonce": "0123456789abcdef"}).json()
    assert opened["error_code"] == 0, opened
    session_id: str = opened["data"]["session"]
    return session_id


class LoopbackServer:
    """The application behind a real uvicorn on 127.0.0.1, for what only sockets can show."""

    def __init__(self, app: FastAPI) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))

    def __enter__(self) -> LoopbackServer:
        self._thread.start()
        wait_until(lambda: self._server.started)
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._socket.close()
        assert not self._thread.is_alive()

    def connect(self) -> socket.socket:
        """A raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


def wait_until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for a callable to answer true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
