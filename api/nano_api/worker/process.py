# SPDX-License-Identifier: Apache-2.0
"""The worker's side of a run: start it, read its events, end all of it."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nano_api.content import ANSIBLE_CONFIG, PLAYBOOKS
from nano_api.worker.untrusted import encode_untrusted

JOB_VARIABLE = "NANO_JOB_ID"

#: From asking a run to stop to killing it. ansible-runner looks once a second.
_STOP_SECONDS = 8


@dataclass(frozen=True)
class Order:
    """What to run where. ``variables`` are plain values; they are wrapped on the way out."""

    job_id: str
    playbook: str
    inventory: Path
    cells: tuple[str, ...]
    variables: dict[str, Any]
    folder: Path
    control_sockets: Path


class RunProcess:
    """A playbook run as a child process in a session of its own."""

    def __init__(self, order: Order) -> None:
        self._order = order
        order.folder.mkdir(mode=0o700)
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nano_api.worker.execute"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=_environment(order.job_id),
            text=True,
        )
        self._complaints: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_lines, daemon=True),
            threading.Thread(target=self._read_complaints, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(self._description()))
            self._process.stdin.close()
        except BrokenPipeError:
            self._complaints.append("the run ended before it was told what to do")

    @property
    def complaints(self) -> str:
        """What the run wrote to its standard error, for the log of the job."""
        return "".join(self._complaints)

    def events(self, tick_seconds: float) -> Iterator[dict[str, Any] | None]:
        """The run's events until it ends; None at least every ``tick_seconds``."""
        while True:
            try:
                line = self._lines.get(timeout=tick_seconds)
            except queue.Empty:
                yield None
                continue
            if line is None:
                return
            yield line

    def stop(self) -> None:
        """End the run with everything it started; returns when it is gone."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):  # what is left then is killed below
                self._process.wait(_STOP_SECONDS)
        kill_processes_of(self._order.job_id)
        self._process.wait()

    def close(self) -> None:
        """Forget the run: its private folder has the variables in clear."""
        self._process.wait()
        for reader in self._readers:
            reader.join(timeout=5)
        shutil.rmtree(self._order.folder, ignore_errors=True)

    def _description(self) -> dict[str, Any]:
        order = self._order
        variables = {**order.variables, "nano_cell": ",".join(order.cells)}
        return {
            "folder": str(order.folder),
            "playbooks": str(PLAYBOOKS),
            "playbook": order.playbook,
            "inventory": str(order.inventory.resolve()),
            "limit": ",".join(order.cells),
            "variables": encode_untrusted(variables),
            "environment": {
                "ANSIBLE_CONFIG": str(ANSIBLE_CONFIG),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_FORCE_COLOR": "0",
                "ANSIBLE_DEPRECATION_WARNINGS": "0",
                "ANSIBLE_SSH_CONTROL_PATH_DIR": str(order.control_sockets),
                "ANSIBLE_LOCAL_TEMP": str(order.folder / "tmp"),
                JOB_VARIABLE: order.job_id,
            },
        }

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def _read_complaints(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if len(self._complaints) < 1000:
                self._complaints.append(line)


def _environment(job_id: str) -> dict[str, str]:
    # ansible-playbook is the one that was installed with us, whatever else is on the machine.
    ours = str(Path(sys.executable).parent)
    path = os.pathsep.join([ours, os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, JOB_VARIABLE: job_id}


def processes_of(job_id: str) -> list[int]:
    """Ids of all processes that carry the job's mark, ourselves apart."""
    mark = f"{JOB_VARIABLE}={job_id}".encode()
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = Path(entry.path, "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else
        if mark in environment.split(b"\0"):
            found.append(int(entry.name))
    return found


def kill_processes_of(job_id: str, patience_seconds: float = 10) -> None:
    """Kill every process of a run, also those that moved to other sessions.

    ssh's shared connections are left out while their cell is in use by other jobs: they carry the
    mark of the job that happened to open them and end by themselves.

    :raises RuntimeError: some would not die
    """
    deadline = time.monotonic() + patience_seconds
    while alive := [pid for pid in processes_of(job_id) if not _is_shared_connection(pid)]:
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes of job {job_id} do not end: {alive}")
        time.sleep(0.05)


def _is_shared_connection(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state == "Z" or (command.startswith(b"ssh: ") and b"[mux]" in command)
