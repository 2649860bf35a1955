# SPDX-License-Identifier: Apache-2.0
"""What cells and guests do at this moment, and where it is kept.

The process that observes keeps everything in memory. Where several processes serve one database
the others read what it writes down, one compact row per cell.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nano_api.clock import now
from nano_api.live.rates import Speeds
from nano_api.live.tables import CellFigures

#: Older figures are not told as those of this moment.
FRESH_SECONDS = 5.0
#: Relative change of a figure that is worth a write.
_NOTICEABLE = 0.02


@dataclass(frozen=True)
class HostFigures:
    """A cell's capacity and use. The fields are named as in the table ``cells``."""

    cores: int
    cpu_usage_percent: float
    memory_bytes: int
    memory_available_bytes: int
    disk_bytes: int
    disk_available_bytes: int

    def close_to(self, other: HostFigures) -> bool:
        """Whether writing the difference down is not worth it."""
        if abs(self.cpu_usage_percent - other.cpu_usage_percent) > 100 * _NOTICEABLE:
            return False
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return all(
            abs(ours - theirs) <= _NOTICEABLE * max(abs(ours), abs(theirs), 100)
            for ours, theirs in pairs
        )


@dataclass(frozen=True)
class GuestFigures:
    """A guest that runs. Counters begin with its start; None is what libvirt does not tell."""

    state: str
    cpu_usage_percent: float | None = None
    memory_available_bytes: int | None = None
    disk_available_bytes: int | None = None
    disk_read_bytes: int | None = None
    disk_written_bytes: int | None = None
    network_received_bytes: int | None = None
    network_sent_bytes: int | None = None
    speeds: Speeds = field(default_factory=Speeds)


@dataclass(frozen=True)
class CellNow:
    """A cell and its running guests at one moment. ``used_cores``: of the last two seconds."""

    at: datetime
    host: HostFigures
    used_cores: float
    guests: Mapping[str, GuestFigures]

    @property
    def speeds(self) -> Speeds:
        """Of all guests together."""
        return sum((guest.speeds for guest in self.guests.values()), Speeds())

    def packed(self) -> dict[str, Any]:
        """As the row of the table has it."""
        guests = {name: asdict(guest) for name, guest in self.guests.items()}
        return {"host": asdict(self.host), "used_cores": self.used_cores, "guests": guests}

    @classmethod
    def unpacked(cls, at: datetime, data: Mapping[str, Any]) -> CellNow:
        """From such a row."""
        guests = {
            name: GuestFigures(**{**values, "speeds": Speeds(**values["speeds"])})
            for name, values in data["guests"].items()
        }
        return cls(at, HostFigures(**data["host"]), data["used_cores"], guests)


class LiveFigures:
    """The newest figures of every cell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cells: dict[str, CellNow] = {}
        self._observes = False
        self._events: Counter[str] = Counter()

    def observing(self, observes: bool) -> None:
        """Whether this process observes; if not, the table has what another one sees."""
        with self._lock:
            self._observes = observes
            self._cells.clear()

    def put(self, cell: str, figures: CellNow) -> None:
        """A new look at a cell."""
        with self._lock:
            self._cells[cell] = figures

    def forget(self, cell: str) -> None:
        """It is watched no longer."""
        with self._lock:
            self._cells.pop(cell, None)

    def count_event(self, kind: str) -> None:
        """libvirt told something by itself."""
        with self._lock:
            self._events[kind] += 1

    def event_counts(self) -> dict[str, int]:
        """Kind → how often it was told to this process."""
        with self._lock:
            return dict(self._events)

    def in_memory(self) -> dict[str, CellNow]:
        """What this process has seen itself."""
        with self._lock:
            return dict(self._cells)

    def everything(self, session: Session) -> dict[str, CellNow]:
        """Cell → its newest figures, however old."""
        with self._lock:
            if self._observes:
                return dict(self._cells)
        return {
            row.cell: CellNow.unpacked(row.at, row.data)
            for row in session.scalars(select(CellFigures))
        }

    def of(self, session: Session, cell: str) -> CellNow | None:
        """A cell's newest figures, however old."""
        with self._lock:
            if self._observes:
                return self._cells.get(cell)
        row = session.get(CellFigures, cell)
        return None if row is None else CellNow.unpacked(row.at, row.data)


def is_fresh(figures: CellNow | None) -> bool:
    """Whether they may be told as those of this moment."""
    return figures is not None and (now() - figures.at).total_seconds() <= FRESH_SECONDS
