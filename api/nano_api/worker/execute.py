# SPDX-License-Identifier: Apache-2.0
"""One run of a playbook, as a process of its own: the only importer of ansible_runner.

Reads what to run as JSON from standard input (nothing secret is ever an argument) and writes one
JSON line per event to standard output. When its parent dies or it is told to stop (SIGTERM), it
ends the playbook.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import ansible_runner

#: Marks every process of a run, whatever session or group it moves to.
JOB_VARIABLE = "NANO_JOB_ID"

_EVENT_FIELDS = ("task", "host", "res", "ignore_errors")


class _Run:
    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.parent = os.getppid()
        self.stop = False
        # Whatever prints to standard output must not end up between our lines.
        self.lines = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)

    def tell(self, line: dict[str, Any]) -> None:
        """Hand a line on. A parent that is gone means: stop."""
        try:
            self.lines.write(json.dumps(line, default=str) + "\n")
        except (OSError, ValueError):
            self.stop = True

    def on_event(self, event: dict[str, Any]) -> bool:
        """Called inside ansible-runner's output pump: an exception here would abort the run."""
        data = event.get("event_data") or {}
        self.tell(
            {
                "event": event.get("event"),
                "stdout": event.get("stdout") or "",
                "event_data": {name: data[name] for name in _EVENT_FIELDS if name in data},
            }
        )
        return False  # the event is not to be kept on disk

    def should_stop(self) -> bool:
        """Polled by ansible-runner."""
        return self.stop or os.getppid() != self.parent

    def go(self) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)
        private = Path(self.order["folder"])
        runner = ansible_runner.run(
            private_data_dir=str(private),
            project_dir=self.order["playbooks"],
            playbook=self.order["playbook"],
            inventory=self.order["inventory"],
            limit=self.order["limit"],
            extravars=self.order["variables"],
            envvars=self.order["environment"],
            settings={"pexpect_timeout": 1, "suppress_ansible_output": True},
            event_handler=self.on_event,
            cancel_callback=self.should_stop,
            quiet=True,
        )
        self.tell({"event": "end", "status": runner.status, "rc": runner.rc})

    def _on_signal(self, _number: int, _frame: Any) -> None:
        self.stop = True


def main() -> None:
    """Entry of ``python -m nano_api.worker.execute``."""
    _Run(json.load(sys.stdin)).go()


if __name__ == "__main__":
    main()
