# SPDX-License-Identifier: Apache-2.0
"""Which cell a new guest goes to: Nano's rule, as a pure function.

A cell that is busy (Nano: over 80 % of its processors) or has too little memory or disk is skipped.
Among the others the best score wins: real room weighs as much as configured room, where each
cell may promise three times what it has; cores count most, disk least.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nano_api.errors import CloudError, Conflict, NoSpace

_OVERCOMMIT = 3
_CORE_WEIGHT, _MEMORY_WEIGHT, _DISK_WEIGHT = 2.0, 1.5, 0.5


@dataclass(frozen=True)
class Demand:
    """What a guest needs."""

    cores: int
    memory_bytes: int
    disk_bytes: int

    def plus(self, other: Demand) -> Demand:
        """Both together."""
        return Demand(
            self.cores + other.cores,
            self.memory_bytes + other.memory_bytes,
            self.disk_bytes + other.disk_bytes,
        )


@dataclass(frozen=True)
class Candidate:
    """A cell that is alive and enabled; ``promised`` is what its guests are configured with."""

    name: str
    cores: int
    cpu_usage_percent: float
    memory_bytes: int
    memory_available_bytes: int
    disk_bytes: int
    disk_available_bytes: int
    promised: Demand


def pick_cell(candidates: Iterable[Candidate], demand: Demand, busy_percent: float) -> str:
    """The name of the best cell; one whose processors are used more than given is skipped.

    :raises CloudError: none fits, with the reason of the most specific kind
    """
    cells = list(candidates)
    if not cells:
        raise Conflict("no cell fulfill the resource requirement: no cell is alive and enabled")
    idle = [cell for cell in cells if cell.cpu_usage_percent <= busy_percent]
    roomy = [cell for cell in idle if cell.disk_available_bytes >= demand.disk_bytes]
    fitting = [cell for cell in roomy if cell.memory_available_bytes >= demand.memory_bytes]
    if not fitting:
        if not idle:
            raise Conflict(f"all cell cores are busy (load over {busy_percent:.2f}%)")
        raise _refusal(idle, roomy, demand)
    return max(fitting, key=lambda cell: (_score(cell, demand), cell.name)).name


def _refusal(idle: list[Candidate], roomy: list[Candidate], demand: Demand) -> CloudError:
    if not roomy:
        most = max(cell.disk_available_bytes for cell in idle)
        return NoSpace(
            f"no cell has enough disk: {demand.disk_bytes} bytes are needed, "
            f"the most that one has is {most}"
        )
    most = max(cell.memory_available_bytes for cell in roomy)
    return NoSpace(
        f"no cell has enough memory: {demand.memory_bytes} bytes are needed, "
        f"the most that one has is {most}"
    )


def _score(cell: Candidate, demand: Demand) -> float:
    available_cores = cell.cores * (1 - cell.cpu_usage_percent / 100)
    parts = (
        (_CORE_WEIGHT, available_cores, cell.cores, cell.promised.cores, demand.cores),
        (
            _MEMORY_WEIGHT,
            cell.memory_available_bytes,
            cell.memory_bytes,
            cell.promised.memory_bytes,
            demand.memory_bytes,
        ),
        (
            _DISK_WEIGHT,
            cell.disk_available_bytes,
            cell.disk_bytes,
            cell.promised.disk_bytes,
            demand.disk_bytes,
        ),
    )
    total = 0.0
    for weight, available, capacity, promised, needed in parts:
        realtime = available / needed
        configured = (_OVERCOMMIT * capacity - promised) / needed
        total += weight * (realtime + configured) / 2
    return total
