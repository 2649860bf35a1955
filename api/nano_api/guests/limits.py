# SPDX-License-Identifier: Apache-2.0
"""A guest's share of its cell: Nano's names on the wire, the collection's everywhere else.

The collection's form, which is also what a guest's row keeps:
``{"cpu_priority": str, "disk_limits": {…_sec: int}, "network_limits": {…_sec: int}}``.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from nano_api.envelope import WireModel
from nano_api.errors import InvalidInput

from ansible_collections.nano.cloud.plugins.module_utils.guest_limits_spec import (  # isort: skip
    CPU_PRIORITIES,
    MAX_DISK_RATE,
    MAX_NETWORK_BYTES_SEC,
)

#: Nano's field → the collection's, of disks and of the network card.
_DISK_FIELDS = {
    "read_speed": "read_bytes_sec",
    "write_speed": "write_bytes_sec",
    "read_iops": "read_iops_sec",
    "write_iops": "write_iops_sec",
}
_NETWORK_FIELDS = {"receive_speed": "receive_bytes_sec", "send_speed": "send_bytes_sec"}


class CpuQosIn(WireModel):
    """high, medium or low."""

    priority: str = ""


class DiskQosIn(WireModel):
    """What each disk may do in a second; 0 is unlimited."""

    read_speed: int = Field(0, description="bytes/s")
    read_iops: int = 0
    write_speed: int = Field(0, description="bytes/s")
    write_iops: int = 0


class NetworkQosIn(WireModel):
    """What the network card may do in a second; 0 is unlimited."""

    receive_speed: int = Field(0, description="bytes/s")
    send_speed: int = Field(0, description="bytes/s")


class QosIn(DiskQosIn, NetworkQosIn):
    """All limits of a new guest."""

    cpu_priority: str = ""


class QosOut(BaseModel):
    """Limits of a guest; 0 or missing means unlimited."""

    cpu_priority: Literal["high", "medium", "low"] = "high"
    read_speed: int | None = None
    read_iops: int | None = None
    write_speed: int | None = None
    write_iops: int | None = None
    receive_speed: int | None = None
    send_speed: int | None = None

    @classmethod
    def of(cls, limits: dict[str, Any]) -> dict[str, Any]:
        """From what a guest's row keeps."""
        found: dict[str, Any] = {"cpu_priority": limits.get("cpu_priority") or "high"}
        disks, network = limits.get("disk_limits") or {}, limits.get("network_limits") or {}
        found |= {ours: disks[theirs] for ours, theirs in _DISK_FIELDS.items() if disks.get(theirs)}
        if any(network.values()):
            # Both or none: Nano's portal reads the one as soon as the other is there.
            found |= {ours: network.get(theirs, 0) for ours, theirs in _NETWORK_FIELDS.items()}
        return found


def all_limits(wanted: QosIn | None) -> dict[str, Any]:
    """The limits of a new guest; without any it has a high priority and no limit.

    :raises InvalidInput: a field is missing or out of range
    """
    if wanted is None:
        return {"cpu_priority": "high"}
    return {**cpu_limit(wanted.cpu_priority), **disk_limits(wanted), **network_limits(wanted)}


def cpu_limit(priority: str) -> dict[str, Any]:
    """:raises InvalidInput: there is no such priority"""
    if priority not in CPU_PRIORITIES:
        raise InvalidInput(
            f"invalid CPU priority '{priority[:40]}': use {', '.join(CPU_PRIORITIES)}",
            field="priority",
        )
    return {"cpu_priority": priority}


def disk_limits(wanted: DiskQosIn) -> dict[str, Any]:
    """:raises InvalidInput: a rate is out of range"""
    return {"disk_limits": _rates(wanted, _DISK_FIELDS, MAX_DISK_RATE)}


def network_limits(wanted: NetworkQosIn) -> dict[str, Any]:
    """:raises InvalidInput: a rate is out of range"""
    return {"network_limits": _rates(wanted, _NETWORK_FIELDS, MAX_NETWORK_BYTES_SEC)}


def kept_limits(found: Any) -> dict[str, Any]:
    """What a guest's row keeps of what the collection tells about a guest."""
    priority = found.get("cpu_priority")
    return {
        **({"cpu_priority": priority} if priority else {}),
        "disk_limits": dict(found.get("disk_limits") or {}),
        "network_limits": dict(found.get("network_limits") or {}),
    }


def _rates(wanted: BaseModel, fields: dict[str, str], highest: int) -> dict[str, int]:
    rates = {}
    for ours, theirs in fields.items():
        rate = getattr(wanted, ours)
        if not 0 <= rate <= highest:
            raise InvalidInput(f"{ours} must be 0 to {highest}, not {rate}", field=ours)
        rates[theirs] = rate
    return rates
