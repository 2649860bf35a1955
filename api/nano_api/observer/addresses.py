# SPDX-License-Identifier: Apache-2.0
"""Addresses of running guests, asked of their agents: rarely, and apart from everything else.

Only writing connections may talk to an agent, so one is opened for each round of questions. What
an agent says is the guest's own word, and shown as no more than that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import structlog

from nano_api.observer.watch import CellWatch

from ansible_collections.nano.cloud.plugins.module_utils.errors import CloudError  # isort: skip
from ansible_collections.nano.cloud.plugins.module_utils.guest_addresses import (  # isort: skip
    find_addresses,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import (  # isort: skip
    LibvirtHost,
)

log = structlog.get_logger(__name__)

_UNKNOWN_SECONDS, _KNOWN_SECONDS = 30.0, 120.0
#: An agent that has just connected answers at once.
_NEW_SECONDS = 1.0
_WAIT_SECONDS = 5.0


class AddressBook:
    """Guest's id → its address, of one cell's guests whose agents are connected."""

    def __init__(self, watch: CellWatch) -> None:
        self._watch = watch
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}
        self._known: dict[str, str] = {}

    def due(self) -> list[str]:
        """Guests to ask now; forgets those that cannot be asked any more."""
        reachable, at = self._watch.listener.with_agents(), time.monotonic()
        with self._lock:
            self._due = {name: self._due.get(name, at + _NEW_SECONDS) for name in reachable}
            self._known = {name: each for name, each in self._known.items() if name in reachable}
            return [name for name, due in self._due.items() if due <= at]

    def ask(self, guest_ids: list[str]) -> bool:
        """Ask their agents; True when something new is known."""
        try:
            with LibvirtHost.open(self._watch.address_route.uri) as host:
                domains = [host.find_domain(each, None) for each in guest_ids]
                found = find_addresses([each for each in domains if each], _WAIT_SECONDS)
        except CloudError as error:
            log.info("no addresses", cell=self._watch.name, reason=error.message)
            found = {}
        at = time.monotonic()
        with self._lock:
            before = dict(self._known)
            for guest_id in guest_ids:
                first = next((each["address"] for each in found.get(guest_id) or ()), None)
                if first is not None:
                    self._known[guest_id] = first
                pause = _KNOWN_SECONDS if guest_id in self._known else _UNKNOWN_SECONDS
                self._due[guest_id] = at + pause
            return self._known != before

    def known(self) -> Mapping[str, str]:
        """What is known now."""
        with self._lock:
            return dict(self._known)
