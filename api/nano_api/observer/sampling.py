# SPDX-License-Identifier: Apache-2.0
"""One look at a cell: its figures and which guests run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import libvirt

#: Relative change of a figure that is worth a write.
_NOTICEABLE = 0.02
#: Share of the newest sample in the processor's use: with one every 2 s, half a minute's mean.
_SMOOTHING = 0.07
_RUNNING_STATES = frozenset(
    {
        libvirt.VIR_DOMAIN_RUNNING,
        libvirt.VIR_DOMAIN_BLOCKED,
        libvirt.VIR_DOMAIN_PAUSED,
        libvirt.VIR_DOMAIN_SHUTDOWN,
    }
)


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
class Sample:
    """What one look found; ``running`` has the ids of guests that occupy the cell."""

    host: HostFigures
    running: frozenset[str]
    #: Whether the storage pool is active whose room is among the figures.
    storage_active: bool


class Sampler:
    """Looks at one cell again and again; processor use is the difference of two looks."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self._connection = connection
        self._last_times: tuple[int, int] | None = None
        self._cpu_percent: float | None = None

    def sample(self, pool: str) -> Sample:
        """``pool``: libvirt's pool whose room counts.

        :raises libvirt.libvirtError: the cell does not answer
        """
        active, capacity, available = self._disk(pool)
        return Sample(self._host(capacity, available), self._running(), active)

    def _host(self, capacity: int, available: int) -> HostFigures:
        info = self._connection.getInfo()
        memory = self._connection.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)
        available_kib = sum(memory.get(name, 0) for name in ("free", "buffers", "cached"))
        return HostFigures(
            cores=int(info[2]),
            cpu_usage_percent=self._cpu_usage_percent(),
            memory_bytes=int(memory["total"]) * 1024,
            memory_available_bytes=int(available_kib) * 1024,
            disk_bytes=capacity,
            disk_available_bytes=available,
        )

    def _cpu_usage_percent(self) -> float:
        times = self._connection.getCPUStats(libvirt.VIR_NODE_CPU_STATS_ALL_CPUS)
        idle = int(times["idle"]) + int(times.get("iowait", 0))
        total = idle + int(times["user"]) + int(times["kernel"])
        last, self._last_times = self._last_times, (idle, total)
        if last is None or total <= last[1]:
            return 0.0
        now_percent = 100 * (1 - (idle - last[0]) / (total - last[1]))
        # Smoothed: a short peak must not keep guests away, nor a lull draw all of them.
        before = now_percent if self._cpu_percent is None else self._cpu_percent
        self._cpu_percent = before + _SMOOTHING * (now_percent - before)
        return round(self._cpu_percent, 1)

    def _disk(self, name: str) -> tuple[bool, int, int]:
        try:
            pool = self._connection.storagePoolLookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
                return False, 0, 0  # not onboarded yet, or detached: no room for guests
            raise
        state, capacity, _allocation, available = pool.info()
        active = state == libvirt.VIR_STORAGE_POOL_RUNNING
        return active, int(capacity) if active else 0, int(available) if active else 0

    def _running(self) -> frozenset[str]:
        stats: list[tuple[Any, dict[str, Any]]] = self._connection.getAllDomainStats(
            libvirt.VIR_DOMAIN_STATS_STATE,
            libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT,
        )
        return frozenset(
            domain.UUIDString()
            for domain, figures in stats
            if figures.get("state.state") in _RUNNING_STATES
        )
