# SPDX-License-Identifier: Apache-2.0
"""A database as one file, consistent though the service goes on; and a database from such a file.

SQLite's own backup copies page by page under a read lock; PostgreSQL's ``pg_dump`` works in one
snapshot. Both are the makers' own tools: nothing here knows a table.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import MetaData, make_url

from nano_api.database import Database
from nano_api.errors import CloudError, Unsupported

#: Kind of database → the name of its dump in a backup.
DUMP_NAMES = {"sqlite": "database.sqlite", "postgresql": "database.pgdump"}


def kind_of(url: str) -> str:
    """``sqlite`` or ``postgresql``.

    :raises Unsupported: it is something else
    """
    kind = make_url(url).get_backend_name()
    if kind not in DUMP_NAMES:
        raise Unsupported(f"database_url: a {kind} database is backed up with its own tools only")
    return kind


def is_empty(database: Database) -> bool:
    """Whether there is no table."""
    found = MetaData()
    found.reflect(database.engine)
    return not found.tables


def dump(url: str, target: Path) -> None:
    """Write what the database holds now into a new file.

    :raises CloudError: the database's tool failed; with its words
    """
    if kind_of(url) == "sqlite":
        with (
            closing(sqlite3.connect(f"file:{make_url(url).database}?mode=ro", uri=True)) as ours,
            closing(sqlite3.connect(target)) as copy,
        ):
            ours.backup(copy)
            # One file that needs no companions.
            copy.execute("PRAGMA journal_mode=DELETE")
    else:
        _postgresql(
            "pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={target}"
        )


def load(url: str, source: Path) -> None:
    """Replace everything in the database by what a dump holds.

    :raises CloudError: the database's tool failed; PostgreSQL then has what it had
    """
    if kind_of(url) == "sqlite":
        path = Path(str(make_url(url).database))
        fresh = path.with_name(f"{path.name}.restored")
        shutil.copyfile(source, fresh)
        fresh.chmod(0o600)
        for companion in ("-wal", "-shm"):
            path.with_name(path.name + companion).unlink(missing_ok=True)
        fresh.replace(path)
    else:
        options = ("--clean", "--if-exists", "--no-owner", "--no-privileges")
        _postgresql("pg_restore", url, *options, "--single-transaction", str(source))


def _postgresql(program: str, url: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs; the password goes through the environment."""
    parts = make_url(url)
    target = parts.set(drivername="postgresql", password=None).render_as_string()
    environment = dict(os.environ)
    if parts.password is not None:
        environment["PGPASSWORD"] = str(parts.password)
    command = [program, f"--dbname={target}", *arguments]
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise Unsupported(
            f"{program} is not installed here: install PostgreSQL's client programs"
        ) from None
    if done.returncode != 0:
        raise CloudError(f"{program} failed: {done.stderr.strip() or done.returncode}")
