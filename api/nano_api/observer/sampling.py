# SPDX-License-Identifier: Apache-2.0
"""One look at a cell: its figures and those of its guests."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import libvirt

from nano_api.clock import now
from nano_api.live.figures import CellNow, GuestFigures, HostFigures
from nano_api.live.rates import Counters, Speeds, card_counters, disk_counters, speeds

from ansible_collections.nano.cloud.plugins.module_utils import statistics  # isort: skip
from ansible_collections.nano.cloud.plugins.module_utils.statistics import (  # isort: skip
    GuestStatistics,
)

#: Share of the newest sample in the processor's use that the scheduler sees: with one every 2 s,
#: half a minute's mean.
_SMOOTHING = 0.07
_POOL_SECONDS = 10.0
#: What costs the cell nothing, at every look.
_STATE = libvirt.VIR_DOMAIN_STATS_STATE
#: For these libvirt looks at each QEMU's threads, and talks to it; for disks at length.
_WORK = (
    libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
)
_DISKS = libvirt.VIR_DOMAIN_STATS_BLOCK
#: At least so long between two times. A look that comes by the clock comes some moments late.
_SECONDS_APART = {_WORK: 3.5, _DISKS: 9.5}
_NOWAIT = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT

#: States of a guest that occupies its cell.
RUNNING_STATES = frozenset({"running", "paused", "stopping", "suspended"})


@dataclass(frozen=True)
class Sample:
    """What one look found. ``domains``: id → libvirt's handle of every domain."""

    figures: CellNow
    #: The processor's use for the scheduler: a short peak must not keep guests away.
    host: HostFigures
    running: frozenset[str]
    domains: Mapping[str, libvirt.virDomain]
    #: Whether the storage pool is active whose room is among the figures.
    storage_active: bool


@dataclass(frozen=True)
class _Traffic:
    """Counters of a guest's disks, or cards, when they were last read, and what they moved by.

    None: not read yet.
    """

    at: float
    counters: Counters | None
    speeds: Speeds = field(default_factory=Speeds)

    def then(self, at: float, counters: Counters) -> _Traffic:
        """The next reading."""
        return _Traffic(at, counters, speeds(self.counters, counters, at - self.at))


@dataclass(frozen=True)
class _Last:
    """What is known of a running guest, each part since it was last asked for."""

    figures: GuestStatistics
    worked_at: float
    cpu_usage_percent: float | None
    disks: _Traffic
    cards: _Traffic

    @classmethod
    def first(cls, at: float, found: GuestStatistics, asked: int) -> _Last:
        """Of a guest that runs only now."""
        disks = _Traffic(at, disk_counters(found) if asked & _DISKS else None)
        cards = _Traffic(at, card_counters(found) if asked & _WORK else None)
        return cls(found, at, None, disks, cards)

    def then(self, at: float, found: GuestStatistics, asked: int) -> _Last:
        """After the next look."""
        merged = _with_older(found, self.figures, asked)
        disks, cards, worked_at = self.disks, self.cards, self.worked_at
        percent = self.cpu_usage_percent
        if asked & _DISKS:
            disks = disks.then(at, disk_counters(merged))
        if asked & _WORK:
            cards = cards.then(at, card_counters(merged))
            percent = statistics.cpu_usage_percent(self.figures, merged, at - worked_at)
            worked_at = at
        return _Last(merged, worked_at, percent, disks, cards)


class Sampler:
    """Looks at one cell again and again; what moves is the difference of two looks."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self._connection = connection
        self._pool = ""
        self._cores = int(connection.getInfo()[2])
        #: Group of figures → when it was last asked for.
        self._asked_at = dict.fromkeys(_SECONDS_APART, -math.inf)
        self._last: dict[str, _Last] = {}
        self._last_times: tuple[int, int] | None = None
        self._smooth_percent: float | None = None
        self._disk = (False, 0, 0)
        self._disk_due = 0.0

    def pools_changed(self) -> None:
        """Something happened to a storage pool: ask for its size at the next look."""
        self._disk_due = 0.0

    def sample(self, pool: str) -> Sample:
        """``pool``: libvirt's pool whose room counts.

        :raises libvirt.libvirtError: the cell does not answer
        """
        if pool != self._pool:
            self._pool, self._disk_due = pool, 0.0
        asked = self._groups()
        begun = now()
        raw: list[tuple[libvirt.virDomain, dict[str, Any]]] = self._connection.getAllDomainStats(
            asked, _NOWAIT
        )
        at = time.monotonic()
        domains = {domain.UUIDString(): (domain, figures) for domain, figures in raw}
        parsed = {name: statistics.parse(figures) for name, (_, figures) in domains.items()}
        running = {
            name: figures for name, figures in parsed.items() if figures.state in RUNNING_STATES
        }
        guests = {name: self._guest(name, found, at, asked) for name, found in running.items()}
        self._last = {name: last for name, last in self._last.items() if name in running}
        percent = self._cpu_percent()
        host = self._host(percent or 0.0)
        used_cores = round(self._cores * (percent or 0.0) / 100, 2)
        return Sample(
            figures=CellNow(begun, host, used_cores, guests),
            host=replace(host, cpu_usage_percent=self._smoothed(percent)),
            running=frozenset(running),
            domains={name: domain for name, (domain, _) in domains.items()},
            storage_active=self._disk[0],
        )

    def _groups(self) -> int:
        """What this look asks for."""
        at, asked = time.monotonic(), _STATE
        for group, seconds in _SECONDS_APART.items():
            if at - self._asked_at[group] >= seconds:
                self._asked_at[group] = at
                asked |= group
        return int(asked)

    def _guest(self, name: str, found: GuestStatistics, at: float, asked: int) -> GuestFigures:
        last = self._last.get(name)
        if last is None:
            # A guest that has just started is not to wait for its first figures.
            self._asked_at = dict.fromkeys(_SECONDS_APART, -math.inf)
            known = _Last.first(at, found, asked)
        else:
            known = last.then(at, found, asked)
        self._last[name] = known
        figures = known.figures
        return GuestFigures(
            state=figures.state,
            cpu_usage_percent=known.cpu_usage_percent,
            memory_available_bytes=figures.memory_available_bytes,
            disk_available_bytes=figures.disk_available_bytes,
            disk_read_bytes=figures.disk_read_bytes,
            disk_written_bytes=figures.disk_written_bytes,
            network_received_bytes=figures.network_received_bytes,
            network_sent_bytes=figures.network_sent_bytes,
            speeds=known.disks.speeds + known.cards.speeds,
        )

    def _host(self, cpu_percent: float) -> HostFigures:
        total_kib, available_kib = self._memory()
        if time.monotonic() >= self._disk_due:
            self._disk = self._read_pool()
            self._disk_due = time.monotonic() + _POOL_SECONDS
        return HostFigures(
            cores=self._cores,
            cpu_usage_percent=round(cpu_percent, 1),
            memory_bytes=total_kib * 1024,
            memory_available_bytes=available_kib * 1024,
            disk_bytes=self._disk[1],
            disk_available_bytes=self._disk[2],
        )

    def _memory(self) -> tuple[int, int]:
        """(all, what is free or can be freed at once) in KiB."""
        try:
            found = self._connection.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
                raise
            total = int(self._connection.getInfo()[1]) * 1024
            return total, total  # a driver without a host of its own
        available = sum(int(found.get(name, 0)) for name in ("free", "buffers", "cached"))
        return int(found["total"]), available

    def _cpu_percent(self) -> float | None:
        """Since the last look; None at the first one."""
        times = self._connection.getCPUStats(libvirt.VIR_NODE_CPU_STATS_ALL_CPUS)
        idle = int(times["idle"]) + int(times.get("iowait", 0))
        total = idle + int(times["user"]) + int(times["kernel"])
        last, self._last_times = self._last_times, (idle, total)
        if last is None or total <= last[1]:
            return None
        return min(100.0, max(0.0, 100 * (1 - (idle - last[0]) / (total - last[1]))))

    def _smoothed(self, percent: float | None) -> float:
        if percent is not None:
            before = percent if self._smooth_percent is None else self._smooth_percent
            self._smooth_percent = before + _SMOOTHING * (percent - before)
        return round(self._smooth_percent or 0.0, 1)

    def _read_pool(self) -> tuple[bool, int, int]:
        try:
            pool = self._connection.storagePoolLookupByName(self._pool)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
                return False, 0, 0  # not onboarded yet, or detached: no room for guests
            raise
        state, capacity, _allocation, available = pool.info()
        active = state == libvirt.VIR_STORAGE_POOL_RUNNING
        return active, int(capacity) if active else 0, int(available) if active else 0


def _with_older(found: GuestStatistics, last: GuestStatistics, asked: int) -> GuestStatistics:
    """What was found, and what was not asked for as it was before."""
    if not asked & _WORK:
        found = replace(last, state=found.state, disks=found.disks)
    return found if asked & _DISKS else replace(found, disks=last.disks)
