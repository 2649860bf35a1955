# SPDX-License-Identifier: Apache-2.0
"""Where guests run, seen from the machine under the cells: no cut cable hides anything here."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from tests.lab.commands import process_arguments
from tests.lab.control_groups import groups_named, processes_in
from tests.lab.lab import Lab

#: Guest's id → cells.
Places = dict[str, tuple[str, ...]]


def places_of(lab: Lab, guest_ids: set[str]) -> Places:
    """The cells in which a QEMU process of each guest lives."""
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
    """Looks again and again for as long as the block runs; a look that fails fails the block."""

    def __init__(self, look: Callable[[], Places], pause_seconds: float) -> None:
        self._look = look
        self._pause_seconds = pause_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._error: Exception | None = None
        self.begun = time.monotonic()
        self.looks = 0
        self.longest_gap_seconds = 0.0
        self._last = 0.0
        self.twice: list[tuple[float, Places]] = []
        #: (seconds since the beginning, where the guests are), one for each change.
        self.changes: list[tuple[float, Places]] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def first(self, after: float, wanted: Callable[[Places], bool]) -> float | None:
        """When, on the monotonic clock, it was first seen to be so after a moment; None: never."""
        for at, places in self.changes:
            if self.begun + at >= after and wanted(places):
                return self.begun + at
        return None

    def _watch(self) -> None:
        try:
            while not self._ended.wait(self._pause_seconds):
                self._take(self._look())
        except Exception as error:
            self._error = error

    def _take(self, places: Places) -> None:
        now = time.monotonic() - self.begun
        self.looks += 1
        self.longest_gap_seconds = max(self.longest_gap_seconds, now - self._last)
        self._last = now
        if any(len(cells) > 1 for cells in places.values()):
            self.twice.append((now, places))
        if not self.changes or self.changes[-1][1] != places:
            self.changes.append((now, places))
