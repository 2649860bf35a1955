# SPDX-License-Identifier: Apache-2.0
"""Sums over cells and guests: pure, and the same for a cell, a pool and the zone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nano_api.cells.tables import Cell
from nano_api.live.figures import CellNow, HostFigures, is_fresh
from nano_api.live.rates import Speeds


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
    #: Whether some of them are older than they should be.
    stale: bool


@dataclass(frozen=True)
class CellView:
    """A cell's row, its guests, and its figures of this moment where somebody has them."""

    cell: Cell
    guests: GuestCounts
    live: CellNow | None

    @property
    def fresh(self) -> CellNow | None:
        """The figures of this moment; None when the newest are too old to be called so."""
        return self.live if is_fresh(self.live) else None


def figures_of(cells: Iterable[CellView]) -> Figures:
    """The sum over cells. What a cell that does not answer has is nobody's to use: left out."""
    listed = list(cells)
    alive = [view for view in listed if view.cell.alive]
    hosts = [_host_of(view) for view in alive]
    fresh = [view.fresh for view in alive]
    return Figures(
        cells_offline=len(listed) - len(alive),
        cells_online=len(alive),
        guests=sum((view.guests for view in listed), GuestCounts()),
        used_cores=round(sum(_used_cores(view) for view in alive), 2),
        cores=sum(host.cores for host in hosts),
        memory_available_bytes=sum(host.memory_available_bytes for host in hosts),
        memory_bytes=sum(host.memory_bytes for host in hosts),
        disk_available_bytes=sum(host.disk_available_bytes for host in hosts),
        disk_bytes=sum(host.disk_bytes for host in hosts),
        speeds=sum((each.speeds for each in fresh if each is not None), Speeds()),
        stale=None in fresh,
    )


def _host_of(view: CellView) -> HostFigures | Cell:
    """The row has the same figures, somewhat older and rounder."""
    return view.cell if view.fresh is None else view.fresh.host


def _used_cores(view: CellView) -> float:
    if view.fresh is not None:
        return view.fresh.used_cores
    return view.cell.cores * view.cell.cpu_usage_percent / 100
