# SPDX-License-Identifier: Apache-2.0
"""Sums over cells and guests: pure, and the same for a cell, a pool and the zone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nano_api.cells.tables import Cell


@dataclass(frozen=True)
class GuestCounts:
    """Guests by what they do."""

    stopped: int = 0
    running: int = 0
    lost: int = 0
    migrating: int = 0

    def __add__(self, other: GuestCounts) -> GuestCounts:
        return GuestCounts(
            self.stopped + other.stopped,
            self.running + other.running,
            self.lost + other.lost,
            self.migrating + other.migrating,
        )


@dataclass(frozen=True)
class Speeds:
    """Bytes per second."""

    read: int
    write: int
    receive: int
    send: int


@dataclass(frozen=True)
class Figures:
    """Capacity and use. Sizes in bytes; ``used_cores`` of ``cores``."""

    cells_offline: int
    cells_online: int
    guests: GuestCounts
    used_cores: float
    cores: int
    memory_available_bytes: int
    memory_bytes: int
    disk_available_bytes: int
    disk_bytes: int
    speeds: Speeds


def figures_of(cells: Iterable[tuple[Cell, GuestCounts]]) -> Figures:
    """The sum over cells. What a cell that does not answer has is nobody's to use: left out."""
    listed = list(cells)
    alive = [cell for cell, _guests in listed if cell.alive]
    return Figures(
        cells_offline=len(listed) - len(alive),
        cells_online=len(alive),
        guests=sum((guests for _cell, guests in listed), GuestCounts()),
        used_cores=round(sum(cell.cores * cell.cpu_usage_percent / 100 for cell in alive), 2),
        cores=sum(cell.cores for cell in alive),
        memory_available_bytes=sum(cell.memory_available_bytes for cell in alive),
        memory_bytes=sum(cell.memory_bytes for cell in alive),
        disk_available_bytes=sum(cell.disk_available_bytes for cell in alive),
        disk_bytes=sum(cell.disk_bytes for cell in alive),
        speeds=_speeds_of(alive),
    )


def _speeds_of(_cells: list[Cell]) -> Speeds:
    """Not measured yet: the observer keeps no speeds in the cells' rows. To be summed here."""
    return Speeds(read=0, write=0, receive=0, send=0)
