# SPDX-License-Identifier: Apache-2.0
"""What a cell's libvirt tells by itself: noted in the event loop, taken by the next look."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import libvirt
import structlog

from ansible_collections.nano.cloud.plugins.module_utils import domain_xml  # isort: skip

log = structlog.get_logger(__name__)

#: Event of a domain → what metrics call it. Each makes the cell be looked at at once.
_DOMAIN_EVENTS = {
    libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE: "lifecycle",
    libvirt.VIR_DOMAIN_EVENT_ID_REBOOT: "reboot",
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED: "device_added",
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: "device_removed",
    libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE: "agent",
    libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE: "metadata",
    libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED: "job_completed",
    libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION: "migration",
}
_POOL_EVENTS = (
    libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE,
    libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH,
)


class Listener:
    """The events of one cell."""

    def __init__(self, happened: Callable[[], None], count: Callable[[str], None]) -> None:
        self._happened = happened
        self._count = count
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._pools_changed = False
        self._agents: set[str] = set()
        self._seen_running: frozenset[str] = frozenset()
        self._handles: list[tuple[bool, int]] = []

    def register(self, connection: libvirt.virConnect) -> None:
        """Ask for all events; a driver that lacks one is looked at all the same."""
        with self._lock:
            self._handles, self._agents, self._seen_running = [], set(), frozenset()
        for number, kind in _DOMAIN_EVENTS.items():
            callback = self._agent if kind == "agent" else self._domain
            with contextlib.suppress(libvirt.libvirtError):
                handle = connection.domainEventRegisterAny(None, number, callback, kind)
                self._handles.append((True, handle))
        for number in _POOL_EVENTS:
            with contextlib.suppress(libvirt.libvirtError):
                handle = connection.storagePoolEventRegisterAny(None, number, self._pool, None)
                self._handles.append((False, handle))

    def forget(self, connection: libvirt.virConnect) -> None:
        """Ask for no more; libvirt keeps a connection open as long as somebody listens."""
        handles, self._handles = self._handles, []
        for of_domains, handle in handles:
            with contextlib.suppress(libvirt.libvirtError):
                if of_domains:
                    connection.domainEventDeregisterAny(handle)
                else:
                    connection.storagePoolEventDeregisterAny(handle)

    def take_changed(self) -> set[str]:
        """Domains whose definitions may have changed since the last call."""
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed

    def take_pools_changed(self) -> bool:
        """Whether something happened to a storage pool since the last call."""
        with self._lock:
            changed, self._pools_changed = self._pools_changed, False
        return changed

    def with_agents(self) -> frozenset[str]:
        """Running guests whose agent is connected."""
        with self._lock:
            return frozenset(self._agents)

    def note_running(
        self, running: frozenset[str], domains: Mapping[str, libvirt.virDomain]
    ) -> None:
        """Guests that ran before we listened: whether their agents are connected."""
        new = running - self._seen_running
        connected = {name for name in new if _agent_is_connected(domains[name])}
        with self._lock:
            # One that has just started may have told of its agent already.
            self._agents = (self._agents | connected) - (self._seen_running - running)
            self._seen_running = running

    def _domain(self, _connection: Any, domain: Any, *details: Any) -> None:
        self._note(domain.UUIDString(), str(details[-1]), details[:-1])

    def _agent(self, _connection: Any, domain: Any, state: int, _reason: int, kind: str) -> None:
        guest_id = domain.UUIDString()
        connected = state == libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED
        with self._lock:
            if connected:
                self._agents.add(guest_id)
            else:
                self._agents.discard(guest_id)
        self._note(guest_id, kind, (state,))

    def _note(self, guest_id: str, kind: str, details: tuple[Any, ...]) -> None:
        with self._lock:
            self._changed.add(guest_id)
        self._count(kind)
        log.debug("a guest's event", guest=guest_id, kind=kind, details=[str(d) for d in details])
        self._happened()

    def _pool(self, _connection: Any, _pool: Any, *_details: Any) -> None:
        with self._lock:
            self._pools_changed = True
        self._count("storage_pool")
        self._happened()


def _agent_is_connected(domain: libvirt.virDomain) -> bool:
    try:
        xml = str(domain.XMLDesc(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise
    return domain_xml.facts(xml).agent_connected
