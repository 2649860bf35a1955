# SPDX-License-Identifier: BSD-2-Clause
"""Addresses of running guests: a short look that no guest can make long.

An agent answers when it likes. So each guest is asked by a thread, a few at the same time, and what
has not come in time is not waited for; such a thread ends with libvirt's own patience or with the
process. What an agent says is the guest's own word: it is checked for its form only.
"""

from __future__ import annotations

import ipaddress
import math
import queue
import re
import threading
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from .errors import CloudError
from .libvirt_domain import Domain

# libvirtd serves five calls of one client at the same time, unless it is told otherwise.
_AT_ONCE = 4
_MOST_ADDRESSES = 64
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")

Address = Dict[str, str]
_Parsed = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


def find_addresses(
    domains: Sequence[Domain], wait_seconds: float
) -> Dict[str, Optional[List[Address]]]:
    """Guest's id → its addresses; None where the time was up before anybody had answered.

    ``wait_seconds`` is for the agents of all guests together.
    """
    leases = {domain.id: _leases(domain) for domain in domains}
    found: Dict[str, Optional[List[Address]]] = {
        domain.id: merge([], leases[domain.id]) or None for domain in domains
    }
    waiting: queue.SimpleQueue[Domain] = queue.SimpleQueue()
    for domain in domains:
        waiting.put(domain)
    deadline = time.monotonic() + wait_seconds

    def ask_next() -> None:
        while time.monotonic() < deadline:
            try:
                domain = waiting.get_nowait()
            except queue.Empty:
                return
            found[domain.id] = merge(_from_agent(domain, deadline), leases[domain.id])

    threads = [
        threading.Thread(target=ask_next, daemon=True) for _ in range(min(_AT_ONCE, len(domains)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(found)


def _leases(domain: Domain) -> List[Address]:
    try:
        return parse(domain.leased_addresses(), "lease")
    except CloudError:
        return []  # It has ended, or is on no network of libvirt's.


def _from_agent(domain: Domain, deadline: float) -> List[Address]:
    wait_seconds = max(1, math.ceil(deadline - time.monotonic()))
    try:
        return parse(domain.agent_addresses(wait_seconds), "agent")
    except CloudError:
        return []  # It has no agent, or none that answers, or has ended.


def parse(raw: Mapping[str, Any], source: str) -> List[Address]:
    """libvirt's answer as a list; what cannot be an address to reach the guest by is left out."""
    addresses = []
    for card in raw.values():
        mac = str(card.get("hwaddr") or "").lower()
        for entry in card.get("addrs") or ():
            address = _reachable(str(entry.get("addr", "")))
            if address is not None:
                known = mac if _MAC.fullmatch(mac) else ""
                addresses.append({"address": str(address), "mac": known, "source": source})
    return addresses[:_MOST_ADDRESSES]


def merge(agent: Sequence[Address], leases: Sequence[Address]) -> List[Address]:
    """Each address once, the agent's word first, IPv4 before IPv6."""
    once: Dict[str, Address] = {}
    for address in [*agent, *leases]:
        once.setdefault(address["address"], address)
    return sorted(once.values(), key=lambda each: ":" in each["address"])


def _reachable(text: str) -> Optional[_Parsed]:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    useless = (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
    )
    return None if useless else address
