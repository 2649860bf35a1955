# SPDX-License-Identifier: BSD-2-Clause
"""How much of its host a guest may use: processor priority, limits of disks and network card."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, Mapping, Optional, Tuple

from .constants import KIB
from .errors import InvalidInput

CPU_PRIORITIES = ("high", "medium", "low")
# libvirt keeps the network's in KiB per second in 32 bits, and the peak is twice the average.
MAX_NETWORK_BYTES_SEC = (2**31 - 1) * KIB
MAX_DISK_RATE = 2**62

LIMIT_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "cpu_priority": {"type": "str", "choices": list(CPU_PRIORITIES)},
    "disk_limits": {
        "type": "dict",
        "options": {
            "read_bytes_sec": {"type": "int"},
            "write_bytes_sec": {"type": "int"},
            "read_iops_sec": {"type": "int"},
            "write_iops_sec": {"type": "int"},
        },
    },
    "network_limits": {
        "type": "dict",
        "options": {
            "receive_bytes_sec": {"type": "int"},
            "send_bytes_sec": {"type": "int"},
        },
    },
}


@dataclass(frozen=True)
class CpuShare:
    """What a priority means: ``shares`` against other guests, ``quota`` µs per ``period`` µs.

    The quota is each virtual processor's own, so a whole period is no limit.
    """

    shares: int
    period: int
    quota: int


CPU_SHARES: Mapping[str, CpuShare] = {
    "high": CpuShare(2000, 1000000, 1000000),
    "medium": CpuShare(1000, 1000000, 500000),
    "low": CpuShare(500, 1000000, 250000),
}


@dataclass(frozen=True)
class DiskLimits:
    """What each disk may do in a second; 0 is unlimited."""

    read_bytes_sec: int = 0
    write_bytes_sec: int = 0
    read_iops_sec: int = 0
    write_iops_sec: int = 0


@dataclass(frozen=True)
class NetworkLimits:
    """What the network card may do in a second, seen from the guest; 0 is unlimited."""

    receive_bytes_sec: int = 0
    send_bytes_sec: int = 0


NO_DISK_LIMITS = DiskLimits()
NO_NETWORK_LIMITS = NetworkLimits()


@dataclass(frozen=True)
class LimitsRequest:
    """What is asked of the limits; only the fields named in ``disk`` and ``network`` change."""

    cpu_priority: Optional[str] = None
    disk: Tuple[Tuple[str, int], ...] = ()
    network: Tuple[Tuple[str, int], ...] = ()

    def disk_limits(self, found: DiskLimits) -> DiskLimits:
        """The found limits with those that are asked for."""
        return replace(found, **dict(self.disk))

    def network_limits(self, found: NetworkLimits) -> NetworkLimits:
        """The found limits with those that are asked for."""
        return replace(found, **dict(self.network))


NO_LIMITS_REQUEST = LimitsRequest()


def limits_request(params: Mapping[str, Any]) -> LimitsRequest:
    """Checked request from the parameters that passed ``LIMIT_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    network = _rates(params, "network_limits", MAX_NETWORK_BYTES_SEC)
    return LimitsRequest(
        cpu_priority=params.get("cpu_priority"),
        disk=_rates(params, "disk_limits", MAX_DISK_RATE),
        # Whole KiB, rounded up: libvirt keeps no smaller ones.
        network=tuple((name, -(-value // KIB) * KIB) for name, value in network),
    )


def _rates(params: Mapping[str, Any], option: str, maximum: int) -> Tuple[Tuple[str, int], ...]:
    asked = params.get(option) or {}
    rates = [(name, int(value)) for name, value in asked.items() if value is not None]
    for name, value in rates:
        if not 0 <= value <= maximum:
            field = f"{option}.{name}"
            raise InvalidInput(f"{field} {value} is not in 0..{maximum}", field=field)
    return tuple(rates)
