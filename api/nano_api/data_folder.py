# SPDX-License-Identifier: Apache-2.0
"""Who may use a data folder: one service with SQLite, several with a database that they share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nano_api.errors import Conflict


@contextmanager
def in_use(folder: Path, *, alone: bool, purpose: str) -> Iterator[None]:
    """Hold the folder for the length of the block. The lock ends with the process.

    :raises Conflict: somebody else holds it, and one of both wants to be alone
    """
    handle = os.open(folder / "in-use.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"{folder} is in use by another nanoctl: end it before you {purpose}"
            ) from None
        yield
    finally:
        os.close(handle)
