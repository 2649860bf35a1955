# SPDX-License-Identifier: BSD-2-Clause
"""A domain's limits: spec ↔ XML, and the parameters by which libvirt changes a running one. Pure.

A limit of another tool that has no word here is read as none, and stays until it is replaced.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Dict, Optional

from .constants import KIB
from .domain_devices_xml import disk_elements
from .guest_limits_spec import (
    CPU_SHARES,
    NO_DISK_LIMITS,
    NO_NETWORK_LIMITS,
    CpuShare,
    DiskLimits,
    NetworkLimits,
)
from .guest_spec import GuestSpec
from .xml_tree import Element, add, child_of, remove_all, text_of

# A card may exceed its average this many times while its burst, one second's worth, lasts.
_PEAK = 2
_DIRECTIONS = {"inbound": "receive_bytes_sec", "outbound": "send_bytes_sec"}


def read_cpu_priority(root: Element) -> str:
    """``high``, ``medium``, ``low``, or ``""`` for anything else."""
    words = [text_of(root, f"./cputune/{name}") for name in ("shares", "period", "quota")]
    if not all(word.isdigit() for word in words):
        return ""
    shares, period, quota = map(int, words)
    found = CpuShare(shares, period, quota)
    return next((name for name, share in CPU_SHARES.items() if share == found), "")


def read_disk_limits(root: Element) -> DiskLimits:
    """The limits of the first disk."""
    for disk in disk_elements(root):
        words = {name: text_of(disk, f"./iotune/{name}") for name in asdict(DiskLimits())}
        return DiskLimits(**{name: int(word or "0") for name, word in words.items()})
    return DiskLimits()


def read_network_limits(root: Element) -> NetworkLimits:
    """The limits of the first network card."""
    card = root.find("./devices/interface")
    found = {}
    for direction, name in _DIRECTIONS.items():
        limit = None if card is None else card.find(f"./bandwidth/{direction}")
        found[name] = 0 if limit is None else int(limit.get("average", "0")) * KIB
    return NetworkLimits(**found)


def write_limits(root: Element, wanted: GuestSpec, found: Optional[GuestSpec]) -> None:
    """Write what differs; the disks and the network card are there already."""
    if wanted.cpu_priority != (found.cpu_priority if found else ""):
        _write_cpu_priority(root, wanted.cpu_priority)
    changed = found is None or wanted.disk_limits != found.disk_limits
    first = 0 if found is None or changed else len(found.disks)
    for disk in disk_elements(root)[first:]:
        _write_disk_limits(disk, wanted.disk_limits)
    if wanted.network_limits != (found.network_limits if found else NO_NETWORK_LIMITS):
        _write_network_limits(root, wanted.network_limits)


def _write_cpu_priority(root: Element, priority: str) -> None:
    tuning = child_of(root, "cputune")
    for name in ("shares", "period", "quota"):
        remove_all(tuning, name)
    if priority:
        for name, value in asdict(CPU_SHARES[priority]).items():
            add(tuning, name, str(value))
    elif not len(tuning):
        root.remove(tuning)


def _write_disk_limits(disk: Element, limits: DiskLimits) -> None:
    """Replaced whole: totals and bursts of other tools would contradict the new limits."""
    remove_all(disk, "iotune")
    if limits != NO_DISK_LIMITS:
        tuning = add(disk, "iotune")
        for name, value in asdict(limits).items():
            if value:
                add(tuning, name, str(value))


def _write_network_limits(root: Element, limits: NetworkLimits) -> None:
    card = root.find("./devices/interface")
    if card is None:
        return
    remove_all(card, "bandwidth")
    if limits != NO_NETWORK_LIMITS:
        bandwidth = add(card, "bandwidth")
        for direction, name in _DIRECTIONS.items():
            average = getattr(limits, name) // KIB
            if average:
                peak = str(average * _PEAK)
                add(bandwidth, direction, average=str(average), peak=peak, burst=str(average))


def scheduler_parameters(priority: str) -> Dict[str, int]:
    """What setSchedulerParametersFlags wants."""
    share = CPU_SHARES[priority]
    return {"cpu_shares": share.shares, "vcpu_period": share.period, "vcpu_quota": share.quota}


def block_parameters(limits: DiskLimits) -> Dict[str, int]:
    """What setBlockIoTune wants; zeros lift a limit."""
    return asdict(limits)


def interface_parameters(limits: NetworkLimits) -> Dict[str, int]:
    """What setInterfaceParameters wants; an average of 0 lifts a limit."""
    parameters = {}
    for direction, name in _DIRECTIONS.items():
        average = getattr(limits, name) // KIB
        parameters.update(
            {
                f"{direction}.average": average,
                f"{direction}.peak": average * _PEAK,
                f"{direction}.burst": average,
            }
        )
    return parameters
