# SPDX-License-Identifier: BSD-2-Clause
"""libvirt's bulk statistics of a guest → our figures. Pure: whoever has a connection may use it.

What libvirt does not tell (of a guest that does not run, or has no balloon driver) is None.
Counters begin with each start of the guest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, TypeVar

from .constants import DOMAIN_STATES, KIB

_Part = TypeVar("_Part")
_STOPPED = DOMAIN_STATES.index("stopped")


@dataclass(frozen=True)
class DiskStatistics:
    """A disk: what was read and written since the start, what the guest sees, what it takes."""

    target: str
    read_bytes: Optional[int]
    written_bytes: Optional[int]
    read_requests: Optional[int]
    write_requests: Optional[int]
    capacity_bytes: Optional[int]
    allocated_bytes: Optional[int]


@dataclass(frozen=True)
class CardStatistics:
    """A network card, as the guest sees it: received is what arrived in the guest."""

    name: str
    received_bytes: Optional[int]
    sent_bytes: Optional[int]


@dataclass(frozen=True)
class GuestStatistics:
    """A guest at one moment. ``cpu_time_nanoseconds`` is what its processors have worked."""

    state: str
    cores: int
    cpu_time_nanoseconds: Optional[int]
    memory_available_bytes: Optional[int]
    memory_resident_bytes: Optional[int]
    disks: Tuple[DiskStatistics, ...]
    network_cards: Tuple[CardStatistics, ...]

    @property
    def disk_read_bytes(self) -> Optional[int]:
        """Of all disks."""
        return _sum(disk.read_bytes for disk in self.disks)

    @property
    def disk_written_bytes(self) -> Optional[int]:
        """Of all disks."""
        return _sum(disk.written_bytes for disk in self.disks)

    @property
    def disk_read_requests(self) -> Optional[int]:
        """Of all disks."""
        return _sum(disk.read_requests for disk in self.disks)

    @property
    def disk_write_requests(self) -> Optional[int]:
        """Of all disks."""
        return _sum(disk.write_requests for disk in self.disks)

    @property
    def disk_available_bytes(self) -> Optional[int]:
        """What the files of all disks may still grow."""
        return _sum(
            max(0, disk.capacity_bytes - disk.allocated_bytes)
            for disk in self.disks
            if disk.capacity_bytes is not None and disk.allocated_bytes is not None
        )

    @property
    def network_received_bytes(self) -> Optional[int]:
        """Of all cards."""
        return _sum(card.received_bytes for card in self.network_cards)

    @property
    def network_sent_bytes(self) -> Optional[int]:
        """Of all cards."""
        return _sum(card.sent_bytes for card in self.network_cards)


TOTALS = (
    "disk_read_bytes",
    "disk_written_bytes",
    "disk_read_requests",
    "disk_write_requests",
    "disk_available_bytes",
    "network_received_bytes",
    "network_sent_bytes",
)


def parse(raw: Mapping[str, Any]) -> GuestStatistics:
    """The figures of one guest from one dictionary of ``virConnectGetAllDomainStats``."""
    number = int(raw.get("state.state", 0))
    return GuestStatistics(
        state=DOMAIN_STATES[number] if 0 <= number < len(DOMAIN_STATES) else "unknown",
        cores=int(raw.get("vcpu.current", raw.get("vcpu.maximum", 0))),
        cpu_time_nanoseconds=_cpu_time(raw),
        memory_available_bytes=_available_memory(raw),
        memory_resident_bytes=_kibibytes(raw, "balloon.rss"),
        disks=tuple(_each(raw, "block", _disk)),
        network_cards=tuple(_each(raw, "net", _card)),
    )


def cpu_usage_percent(
    before: GuestStatistics, after: GuestStatistics, elapsed_seconds: float
) -> Optional[float]:
    """How busy the guest's processors were between two looks, 0 to 100; None: not to be told."""
    first, second = before.cpu_time_nanoseconds, after.cpu_time_nanoseconds
    if first is None or second is None or second < first:
        return None  # It does not run, or was started anew in between.
    possible = elapsed_seconds * 1e9 * after.cores
    return None if possible <= 0 else round(min(100.0, 100.0 * (second - first) / possible), 1)


def as_values(figures: GuestStatistics, cpu_percent: Optional[float]) -> Dict[str, Any]:
    """The figures as plain values, with the totals of disks and cards."""
    return {
        "cpu_usage_percent": cpu_percent,
        "cpu_time_nanoseconds": figures.cpu_time_nanoseconds,
        "memory_available_bytes": figures.memory_available_bytes,
        "memory_resident_bytes": figures.memory_resident_bytes,
        **{name: getattr(figures, name) for name in TOTALS},
        "disks": [asdict(disk) for disk in figures.disks],
        "network_cards": [asdict(card) for card in figures.network_cards],
    }


def _cpu_time(raw: Mapping[str, Any]) -> Optional[int]:
    """Of the guest's own processors; the hypervisor's work for it counts only for want of that.

    Of a guest that does not run libvirt tells the time of its own process: nothing of the guest's.
    """
    if raw.get("state.state", _STOPPED) == _STOPPED:
        return None
    numbers = range(int(raw.get("vcpu.maximum", 0)))
    own = _sum(_number(raw, f"vcpu.{number}.time") for number in numbers)
    return _number(raw, "cpu.time") if own is None else own


def _available_memory(raw: Mapping[str, Any]) -> Optional[int]:
    """What the guest's system could give to a program; of an old driver what it leaves unused."""
    usable = _kibibytes(raw, "balloon.usable")
    return _kibibytes(raw, "balloon.unused") if usable is None else usable


def _each(
    raw: Mapping[str, Any], kind: str, make: Callable[[Mapping[str, Any], str], _Part]
) -> List[_Part]:
    return [make(raw, f"{kind}.{number}") for number in range(int(raw.get(f"{kind}.count", 0)))]


def _disk(raw: Mapping[str, Any], prefix: str) -> DiskStatistics:
    return DiskStatistics(
        target=str(raw.get(f"{prefix}.name", "")),
        read_bytes=_number(raw, f"{prefix}.rd.bytes"),
        written_bytes=_number(raw, f"{prefix}.wr.bytes"),
        read_requests=_number(raw, f"{prefix}.rd.reqs"),
        write_requests=_number(raw, f"{prefix}.wr.reqs"),
        capacity_bytes=_number(raw, f"{prefix}.capacity"),
        allocated_bytes=_number(raw, f"{prefix}.allocation"),
    )


def _card(raw: Mapping[str, Any], prefix: str) -> CardStatistics:
    return CardStatistics(
        name=str(raw.get(f"{prefix}.name", "")),
        received_bytes=_number(raw, f"{prefix}.rx.bytes"),
        sent_bytes=_number(raw, f"{prefix}.tx.bytes"),
    )


def _number(raw: Mapping[str, Any], key: str) -> Optional[int]:
    return int(raw[key]) if key in raw else None


def _kibibytes(raw: Mapping[str, Any], key: str) -> Optional[int]:
    return int(raw[key]) * KIB if key in raw else None


def _sum(numbers: Iterable[Optional[int]]) -> Optional[int]:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
