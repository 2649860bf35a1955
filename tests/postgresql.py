# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of an ordinary user in a temporary folder, on a Unix socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_VERSIONS = Path("/usr/lib/postgresql")
_NAME = "nano"


class Postgresql:
    """A running server; every test gets a database of its own."""

    def __init__(self, programs: Path, folder: Path, user: str) -> None:
        self._programs = programs
        self._folder = folder
        self._user = user

    def start(self) -> None:
        """Make the cluster and wait until it answers."""
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", _NAME, "--auth=trust", "-E", "UTF8", "--no-sync")
        options = f"-k {self._folder} -c listen_addresses= -c fsync=off -c max_connections=300"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", data, "-o", options, "-l", log, "-w", "start")

    def stop(self) -> None:
        """End it and everything that is connected to it."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"nano_{uuid.uuid4().hex}"
        self._run("createdb", "-h", str(self._folder), "-U", _NAME, name)
        return f"postgresql://{_NAME}@/{name}?host={self._folder}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() == 0:
            ordinary = [f"--reuid={self._user}", "--regid=nogroup", "--clear-groups"]
            command = ["setpriv", *ordinary, *command]
        # A server that inherits a pipe would keep its reader waiting for ever.
        with open(self._folder / "commands.log", "ab") as log:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if done.returncode != 0:
            raise RuntimeError((self._folder / "commands.log").read_text())


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--postgresql``: the tests of the API use PostgreSQL, too slow for every day."""
    parser.addoption("--postgresql", action="store_true", help="tests/api on PostgreSQL")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """The server, for all tests of a session; without Debian's package they are skipped."""
    found = sorted(_VERSIONS.glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="nano-pg-", dir="/tmp"))  # a socket's path is short
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    shutil.chown(folder, user)
    server = Postgresql(found[-1].parent, folder, user)
    try:
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def postgresql_url(postgresql: Postgresql) -> str:
    """An empty database."""
    return postgresql.new_database()


@pytest.fixture(scope="session")
def new_database_url(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes what ``database_url`` says in the API's tests: SQLite, or with the option this."""
    if not request.config.getoption("--postgresql"):
        return str
    server: Postgresql = request.getfixturevalue("postgresql")
    return server.new_database
