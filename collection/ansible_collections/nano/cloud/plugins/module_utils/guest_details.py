# SPDX-License-Identifier: BSD-2-Clause
"""What costs a look of its own: addresses and figures of guests that were read."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Mapping, Optional, Sequence

from . import statistics
from .errors import NotFound
from .guest_addresses import Address, find_addresses
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost

# Between the two looks that tell how busy processors are.
_SAMPLE_SECONDS = 0.2


def addresses_of(
    host: LibvirtHost, guests: Sequence[Mapping[str, Any]], wait_seconds: float
) -> Dict[str, Optional[List[Address]]]:
    """Guest's id → addresses; none of one that does not run, None of one not answered in time.

    Opens a connection of its own: libvirt lets only writing ones talk to an agent.
    """
    running = [str(guest["id"]) for guest in guests if guest["state"] == "running"]
    found: Dict[str, Optional[List[Address]]] = {str(guest["id"]): [] for guest in guests}
    if running:
        with LibvirtHost.open(host.uri) as writing:
            domains = [writing.find_domain(each, None) for each in running]
            found.update(
                find_addresses([each for each in domains if each is not None], wait_seconds)
            )
    return found


def statistics_of(
    host: LibvirtHost, guests: Sequence[Mapping[str, Any]]
) -> Dict[str, Optional[Dict[str, Any]]]:
    """Guest's id → figures as plain values; None of one that is gone by now."""
    ids = [str(guest["id"]) for guest in guests]
    first, began = _figures(host, ids), time.monotonic()
    if any(each.state == "running" for each in first.values()):
        time.sleep(_SAMPLE_SECONDS)
    second, elapsed = _figures(host, ids), time.monotonic() - began
    values: Dict[str, Optional[Dict[str, Any]]] = dict.fromkeys(ids)
    for each, after in second.items():
        before = first.get(each, after)
        percent = statistics.cpu_usage_percent(before, after, elapsed)
        values[each] = statistics.as_values(after, percent)
    for guest in guests:
        found = values[str(guest["id"])]
        if found is not None and found["disk_available_bytes"] is None:
            found["disk_available_bytes"] = _room_in_files(guest)
    return values


def _room_in_files(guest: Mapping[str, Any]) -> Optional[int]:
    """What the disks may still grow: libvirt's figures lack the volumes of guests that stand still.

    None when no disk is known.
    """
    known = [
        each for each in guest["disks"] if None not in (each["size_bytes"], each["allocated_bytes"])
    ]
    room = [max(0, each["size_bytes"] - each["allocated_bytes"]) for each in known]
    return sum(room) if room else None


def _figures(host: LibvirtHost, ids: Sequence[str]) -> Dict[str, statistics.GuestStatistics]:
    if len(ids) == 1:
        raw = _of_one(host.find_domain(ids[0], None))
        return {} if raw is None else {ids[0]: statistics.parse(raw)}
    everything = host.domain_statistics() if ids else {}
    return {each: statistics.parse(everything[each]) for each in ids if each in everything}


def _of_one(domain: Optional[Domain]) -> Optional[Dict[str, Any]]:
    try:
        return None if domain is None else domain.statistics()
    except NotFound:
        return None
