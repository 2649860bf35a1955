# SPDX-License-Identifier: Apache-2.0
"""Where guests run, seen from the machine under the cells: no cut cable hides anything here."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from pathlib import Path

from tests.lab.commands import process_arguments
from tests.lab.control_groups import groups_named, processes_in
from tests.lab.lab import Lab

Places = dict[str, tuple[str, ...]]


def places_of(lab: Lab, guest_ids: set[str]) -> Places:
    """Guest's id → the cells in which a QEMU process of it lives."""
    found: dict[str, list[str]] = defaultdict(list)
    for cell in lab.cells:
        for pid in processes_in(groups_named(cell.machine_name)):
            words = process_arguments(pid)
            if not words or not Path(words[0]).name.startswith("qemu-system") or _is_dead(pid):
                continue
            for guest_id in guest_ids.intersection(words):
                found[guest_id].append(cell.name)
    return {guest_id: tuple(sorted(found[guest_id])) for guest_id in sorted(guest_ids)}


def _is_dead(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


class Watch:
    """Looks ten times a second for as long as the block runs."""

    def __init__(self, lab: Lab, guest_ids: set[str]) -> None:
        self._lab, self._ids = lab, guest_ids
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.looks = 0
        self.twice: list[tuple[float, Places]] = []
        #: (seconds since the beginning, where the guests are), one for each change.
        self.changes: list[tuple[float, Places]] = []

    def __enter__(self) -> Watch:
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            places = places_of(self._lab, self._ids)
            now = time.monotonic() - self._begun
            self.looks += 1
            if any(len(cells) > 1 for cells in places.values()):
                self.twice.append((now, places))
            if not self.changes or self.changes[-1][1] != places:
                self.changes.append((now, places))
