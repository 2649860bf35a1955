# SPDX-License-Identifier: BSD-2-Clause
"""What of a change reaches the running guest. Its definition has been written already.

Devices are changed from what runs, not from the definition: other changes may be waiting there for
the next start, and libvirt takes a running device's change only by itself.
"""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from . import domain_limits_xml, domain_xml
from .constants import METADATA_PREFIX, METADATA_URI
from .domain_metadata_xml import metadata_text
from .errors import CloudError
from .guest_spec import GuestSpec
from .libvirt_domain import Domain

# A guest's balloon driver answers within moments, or there is none.
_BALLOON_SECONDS = 2.0
_POLL_SECONDS = 0.1

_Step = Tuple[str, Callable[[], None]]


def apply_live(domain: Domain, xml: str, found: GuestSpec, wanted: GuestSpec) -> List[str]:
    """Change the running guest where libvirt can; ``xml`` is its new definition.

    Returns warnings: what libvirt refuses here waits for the next start, and is said so.
    """
    warnings = []
    for what, step in _steps(domain, xml, found, wanted):
        try:
            step()
        except CloudError as error:
            warnings.append(f"{what} waits for a restart of guest {wanted.name}: {error.message}")
    return warnings


def _steps(domain: Domain, xml: str, found: GuestSpec, wanted: GuestSpec) -> Iterator[_Step]:
    own = metadata_text(wanted)
    yield (
        "owner, group and template",
        lambda: domain.set_live_metadata(own, METADATA_PREFIX, METADATA_URI),
    )
    for index in range(len(found.disks), len(wanted.disks)):
        device = domain_xml.disk_xml(xml, index)
        yield f"disks[{index}]", functools.partial(domain.attach_live, device)
    if wanted.memory_bytes != found.memory_bytes:
        yield "memory_bytes", lambda: _set_memory(domain, wanted.memory_bytes)
    yield from _network_steps(domain, found, wanted)
    if found.display and wanted.display and found.display.password != wanted.display.password:
        password = wanted.display.password
        yield "display.password", lambda: _set_password(domain, password)
    if wanted.agent != found.agent:
        yield "agent", lambda: _plug(domain, xml, domain_xml.agent_xml)
    if wanted.tablet != found.tablet:
        yield "tablet", lambda: _plug(domain, xml, domain_xml.tablet_xml)
    yield from _limit_steps(domain, xml, found, wanted)


def _plug(domain: Domain, xml: str, device: Callable[[str], str]) -> None:
    """Take the running guest's device out, and put in the one of the definition."""
    running, wanted = device(domain.active_xml(secure=False)), device(xml)
    if running:
        domain.detach_live(running)
    if wanted:
        domain.attach_live(wanted)


def _set_memory(domain: Domain, memory_bytes: int) -> None:
    """Up to what it was started with; the rest is for the next start, which is no fault."""
    if memory_bytes > domain_xml.facts(domain.active_xml(secure=False)).memory_limit_bytes:
        return
    domain.set_live_memory(memory_bytes)
    deadline = time.monotonic() + _BALLOON_SECONDS
    while time.monotonic() < deadline:
        if domain_xml.parse(domain.active_xml(secure=False)).memory_bytes == memory_bytes:
            return
        time.sleep(_POLL_SECONDS)


def _network_steps(domain: Domain, found: GuestSpec, wanted: GuestSpec) -> Iterator[_Step]:
    old, new = found.network, wanted.network
    if old is None or new is None:
        return
    parts = {}
    if new.bridge != old.bridge:
        parts["bridge"] = new.bridge
    if new.link != old.link:
        parts["link"] = new.link
    if parts:
        what = " and ".join(f"network.{name}" for name in parts)
        yield what, lambda: _update_card(domain, lambda now: _with_network(now, parts))
    if wanted.security_policy != found.security_policy:
        policy = wanted.security_policy
        yield (
            "security_policy",
            lambda: _update_card(domain, lambda now: replace(now, security_policy=policy)),
        )


def _with_network(running: GuestSpec, parts: Dict[str, str]) -> GuestSpec:
    card = running.network
    return running if card is None else replace(running, network=replace(card, **parts))


def _update_card(domain: Domain, change: Callable[[GuestSpec], GuestSpec]) -> None:
    xml = domain.active_xml(secure=True)
    edited = domain_xml.edit(xml, change(domain_xml.parse(xml)))
    domain.update_live(domain_xml.network_xml(edited))


def _set_password(domain: Domain, password: Optional[str]) -> None:
    xml = domain.active_xml(secure=True)
    running = domain_xml.parse(xml)
    if running.display is not None:
        display = replace(running.display, password=password)
        edited = domain_xml.edit(xml, replace(running, display=display))
        domain.update_live(domain_xml.display_xml(edited))


def _limit_steps(domain: Domain, xml: str, found: GuestSpec, wanted: GuestSpec) -> Iterator[_Step]:
    if wanted.cpu_priority != found.cpu_priority:
        shares = domain_limits_xml.scheduler_parameters(wanted.cpu_priority)
        yield "cpu_priority", lambda: domain.set_live_scheduling(shares)
    if wanted.disk_limits != found.disk_limits:
        rates = domain_limits_xml.block_parameters(wanted.disk_limits)
        for index, target in enumerate(domain_xml.facts(xml).disk_targets[: len(found.disks)]):
            step = functools.partial(domain.set_live_disk_limits, target, rates)
            yield f"disk_limits of disks[{index}]", step
    if wanted.network_limits != found.network_limits and found.network is not None:
        bandwidth = domain_limits_xml.interface_parameters(wanted.network_limits)
        step = functools.partial(domain.set_live_network_limits, found.network.mac, bandwidth)
        yield "network_limits", step
