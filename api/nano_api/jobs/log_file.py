# SPDX-License-Identifier: Apache-2.0
"""Ansible's output of a job, in a file, with secrets masked."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from nano_api.clock import now

MASK = "********"


def job_log_path(log_folder: Path, job_id: str) -> Path:
    """Where the log of a job is."""
    return log_folder / "jobs" / f"{job_id}.log"


class JobLog:
    """Appends to a job's log; every run of the job adds to the same file."""

    def __init__(self, log_folder: Path, job_id: str, secrets: tuple[str, ...]) -> None:
        path = job_log_path(log_folder, job_id)
        self._secrets = sorted((s for s in secrets if s), key=len, reverse=True)
        self._file = path.open("a", encoding="utf-8")
        path.chmod(0o600)

    def __enter__(self) -> JobLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def heading(self, text: str) -> None:
        """A line that says which run begins."""
        self.append(f"--- {now():%Y-%m-%d %H:%M:%S} UTC: {text}")

    def append(self, text: str) -> None:
        """Some lines of output."""
        if not text.strip():
            return
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        self._file.write(text.rstrip("\n") + "\n")
        self._file.flush()
