# SPDX-License-Identifier: Apache-2.0
"""Running the system's commands, and finding processes by what they were started with."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.lab.errors import LabError

Progress = Callable[[str], None]


def run(
    argv: Sequence[str],
    *,
    check: bool = True,
    input_text: str | None = None,
    timeout_seconds: float | None = 600,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command and return its captured output.

    Raises LabError with the command's own last words when it fails and `check` is set.
    """
    try:
        result = subprocess.run(
            list(argv),
            input=input_text,
            stdin=subprocess.DEVNULL if input_text is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
            cwd=cwd,
        )
    except FileNotFoundError as error:
        raise LabError(f"The command {argv[0]} is not installed.") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{' '.join(argv)}` did not end within {timeout_seconds} s.") from error
    if check and result.returncode != 0:
        words = (result.stderr.strip() or result.stdout.strip()).splitlines()[-3:]
        raise LabError(
            f"`{' '.join(argv)}` failed with status {result.returncode}: {' / '.join(words)}"
        )
    return result


def start_detached(argv: Sequence[str], log_file: Path) -> None:
    """Start a command that outlives this process, its output appended to a file.

    It becomes a child of the machine's first process, which collects it when it ends: a caller
    that lives long, such as a test run, keeps no dead children.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    script = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 &'
    subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(log_file), *argv],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        check=True,
    )


def process_arguments(pid: int) -> list[str]:
    """Return the command line of a process, empty when it has ended or is a kernel thread."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0") if part]


def process_ids() -> list[int]:
    """Return the ids of every process on this machine."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def processes_started_with(program: str, argument: str) -> list[int]:
    """Return the ids of processes of `program` that have exactly `argument` on their command line.

    The lab finds its own processes this way rather than by a recorded id, so that a lost state
    file or a reused process id can neither hide one nor point at a stranger.
    """
    found = []
    for pid in process_ids():
        arguments = process_arguments(pid)
        if arguments and Path(arguments[0]).name == program and argument in arguments[1:]:
            found.append(pid)
    return found


def is_running(pid: int) -> bool:
    """Tell whether a process exists and is not merely waiting to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def kill_processes(pids: Iterable[int], number: signal.Signals = signal.SIGKILL) -> None:
    """Signal processes; one that has ended meanwhile is what was wanted."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def wait_until(condition: Callable[[], bool], timeout_seconds: float, pause: float = 0.05) -> bool:
    """Poll until the condition holds; returns whether it did within the time."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True
