# SPDX-License-Identifier: BSD-2-Clause
"""Work that goes on when the module's process has ended, and a file that tells how far it is.

A module reports nothing while it runs. So that a long piece of work shows progress, and survives
a lost connection, it runs in a process of its own; runs of the module wait for it, a little or to
its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Callable, Dict, Optional

from .errors import CloudError
from .object_lock import lock_directory

_POLL_SECONDS = 0.2
# Longer than a playbook waits between two looks.
_FRESH_SECONDS = 120.0


@dataclass(frozen=True)
class RunStatus:
    """``state``: running, done, failed or killed; ``percent`` 0 to 100; ``error`` as CloudError's.

    A run that ``failed`` has undone what it began, one that was ``killed`` has not.
    """

    pid: int
    began_ticks: str
    state: str = "running"
    percent: int = 0
    error: Optional[Dict[str, Any]] = None
    facts: Optional[Dict[str, Any]] = None
    ended: float = 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether it ended so lately that somebody will still want to hear how."""
        return bool(self.ended) and time.time() - self.ended < _FRESH_SECONDS


class RunFailed(CloudError):
    """The error of the process that did it, with its own code."""

    def __init__(self, status: RunStatus) -> None:
        told = status.error or {}
        super().__init__(str(told.get("message", "the process that did it failed")))
        self.code = str(told.get("code", "internal"))
        self.context = dict(told.get("context") or {})


class DetachedRun:
    """The one piece of work of a kind about an object."""

    def __init__(self, kind: str, object_id: str) -> None:
        self._path = os.path.join(lock_directory(), f"{kind}-{object_id}.json")

    def status(self) -> Optional[RunStatus]:
        """What is known; None when there is nothing."""
        try:
            with open(self._path, encoding="utf-8") as file:
                found = RunStatus(**json.load(file))
        except FileNotFoundError:
            return None
        if found.state == "running" and _began_ticks(found.pid) != found.began_ticks:
            error = CloudError("the process that did it was killed").as_dict()
            return replace(found, state="killed", error=error)
        return found

    def forget(self) -> None:
        """Drop what is known about a run that has ended."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def start(self, work: Callable[[Callable[[int], None]], None], facts: Dict[str, Any]) -> None:
        """Run ``work(report_percent)`` in a process of its own; returns when it has begun."""
        os.makedirs(lock_directory(), mode=0o700, exist_ok=True)
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        try:
            self._become_a_process_of_its_own()
            self._work(work, facts)
        finally:
            os._exit(0)  # Nothing of the parent's is to be closed or flushed here.

    def wait(self, seconds: float) -> Optional[RunStatus]:
        """The status when the run has ended, or as it is after that time; 0: until the end."""
        deadline = time.monotonic() + seconds if seconds else None
        while True:
            status = self.status()
            if status is None or status.state != "running":
                return status
            if deadline is not None and time.monotonic() >= deadline:
                return status
            time.sleep(_POLL_SECONDS)

    def end(self) -> None:
        """Ask the run's process to stop: it undoes what it began."""
        status = self.status()
        if status is not None and status.state == "running":
            with contextlib.suppress(ProcessLookupError):
                os.kill(status.pid, signal.SIGTERM)

    def _become_a_process_of_its_own(self) -> None:
        os.setsid()
        # The status must exist before the parent goes on to wait for it.
        reading, writing = os.pipe()
        if os.fork():
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        os.close(reading)
        self._begun = writing
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _stop)

    def _work(self, work: Callable[[Callable[[int], None]], None], facts: Dict[str, Any]) -> None:
        status = RunStatus(os.getpid(), _began_ticks(os.getpid()), facts=facts)
        self._write(status)
        os.write(self._begun, b".")
        os.close(self._begun)

        def report(percent: int) -> None:
            nonlocal status
            if percent > status.percent:
                status = replace(status, percent=min(percent, 99))
                self._write(status)

        try:
            work(report)
            self._write(replace(status, state="done", percent=100, ended=time.time()))
        except CloudError as error:
            told = error.as_dict()
            self._write(replace(status, state="failed", error=told, ended=time.time()))
        except BaseException as error:
            told = CloudError(f"unexpected {type(error).__name__}: {error}").as_dict()
            self._write(replace(status, state="failed", error=told, ended=time.time()))

    def _write(self, status: RunStatus) -> None:
        temporary = f"{self._path}.new"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(asdict(status), file)
        os.replace(temporary, self._path)


class Stopped(BaseException):
    """SIGTERM reached the run."""


def _stop(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped("it was told to stop")


def _began_ticks(pid: int) -> str:
    """When a process began, as the kernel counts; "" when there is none. Tells pids apart."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""
