# SPDX-License-Identifier: BSD-2-Clause
"""One writer per object on a cell: an flock that a dead process cannot keep."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import tempfile
import time
from typing import Any, Iterator, Optional

from .errors import Busy, CloudError

_POLL_SECONDS = 0.1


def lock_directory() -> str:
    """Where lock files stand: on the cell one place for all, for an ordinary user his own."""
    if os.geteuid() == 0:
        return "/run/lock/nano-cloud"
    return os.path.join(tempfile.gettempdir(), f"nano-cloud-{os.geteuid()}")


@contextlib.contextmanager
def object_lock(
    kind: str,
    object_id: str,
    timeout_seconds: float,
    shared: bool = False,
    directory: Optional[str] = None,
    across_hosts: bool = False,
) -> Iterator[None]:
    """Hold ``<kind>-<id>`` while the block runs.

    ``shared`` is for those who only need the object to stay: any number of them at once.
    ``across_hosts``: ``directory`` is on a file system that other hosts share; the lock then is
    against them too.

    :raises Busy: somebody else held it for ``timeout_seconds``; says who and how long already.
    """
    folder = directory or lock_directory()
    _make_private(folder)
    path = os.path.join(folder, f"{kind}-{object_id}.lock")
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    descriptor = _acquire(path, mode, kind, object_id, timeout_seconds)
    try:
        os.ftruncate(descriptor, 0)
        holder = {"pid": os.getpid(), "since": time.time(), "host": os.uname().nodename}
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        # Removed while it is held alone: whoever waits on this inode sees that it has gone.
        # Another host may not see it in time: there the file stays.
        alone = not across_hosts and (not shared or _now_alone(descriptor))
        if alone and _still_there(path, descriptor):
            os.unlink(path)
        os.close(descriptor)


def _make_private(folder: str) -> None:
    os.makedirs(folder, mode=0o700, exist_ok=True)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise CloudError(f"{folder} is not a directory of this user: remove it", path=folder)


def _acquire(path: str, mode: int, kind: str, object_id: str, timeout_seconds: float) -> int:
    deadline = time.monotonic() + timeout_seconds
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if time.monotonic() >= deadline:
                raise _busy(kind, object_id, holder) from None
            time.sleep(_POLL_SECONDS)
            continue
        if _still_there(path, descriptor):
            return descriptor
        os.close(descriptor)


def _now_alone(descriptor: int) -> bool:
    """Turn a shared lock into an exclusive one, unless others share it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_there(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(descriptor, 1000, 0))
        host = str(found.get("host", ""))
        return {"pid": int(found["pid"]), "since": float(found["since"]), "host": host}
    except (ValueError, KeyError, TypeError):
        return {}  # Taken this very moment: the holder has not written its name yet.


def _busy(kind: str, object_id: str, holder: dict[str, Any]) -> Busy:
    if not holder:
        return Busy(f"{kind} {object_id} is being changed by another run: try again later")
    age = max(0, int(time.time() - holder["since"]))
    here = holder["host"] in ("", os.uname().nodename)
    return Busy(
        f"{kind} {object_id} is being changed by process {holder['pid']} on "
        f"{'this host' if here else holder['host']} "
        f"for {age} s: try again later, or end that process",
        kind=kind,
        id=object_id,
        holder_pid=int(holder["pid"]),
        held_seconds=age,
    )
