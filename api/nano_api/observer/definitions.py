# SPDX-License-Identifier: Apache-2.0
"""Definitions of a cell's domains, read again whenever they may have changed.

libvirt tells of most changes, not of all: a device that is attached to the definition alone, or
auto start, changes silently. So besides those that an event names a few are read at every look,
each at least every ``_ROUND_SECONDS``.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import libvirt

from nano_api.clock import now

_ROUND_SECONDS = 20.0


@dataclass(frozen=True)
class Definition:
    """A domain's definition, without secrets. ``begun``: when its reading began."""

    name: str
    xml: str
    auto_start: bool
    begun: datetime
    #: Stands for name and text where these are compared.
    digest: str


def digest_of(name: str, xml: str) -> str:
    """Differs where name or text do."""
    return hashlib.sha256(f"{name}\0{xml}".encode()).hexdigest()


@dataclass
class _Known:
    definition: Definition
    at: float


class DefinitionReader:
    """The definitions of one cell. Only ``read_again`` may be called from other threads."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self._connection = connection
        self._known: dict[str, _Known] = {}
        self._wanted: set[str] = set()
        self._lock = threading.Lock()
        self._last_look = time.monotonic()

    def read_again(self, guest_id: str) -> None:
        """It may have changed."""
        with self._lock:
            self._wanted.add(guest_id)

    def look(self, domains: Mapping[str, libvirt.virDomain]) -> dict[str, Definition]:
        """Read what is due; all definitions of the domains that are there.

        :raises libvirt.libvirtError: the cell does not answer
        """
        with self._lock:
            wanted, self._wanted = self._wanted, set()
        begun, at = now(), time.monotonic()
        auto_starting = self._auto_starting()
        self._known = {name: known for name, known in self._known.items() if name in domains}
        for name in self._due(domains, wanted, at):
            xml = _read(domains[name])
            if xml is not None:
                title = domains[name].name()
                digest = digest_of(title, xml)
                found = Definition(title, xml, name in auto_starting, begun, digest)
                self._known[name] = _Known(found, at)
        self._last_look = at
        return {name: known.definition for name, known in self._known.items()}

    def _due(
        self, domains: Mapping[str, libvirt.virDomain], wanted: set[str], at: float
    ) -> set[str]:
        new = {name for name in domains if name not in self._known}
        share = -(-len(domains) * min(1.0, (at - self._last_look) / _ROUND_SECONDS) // 1)
        oldest = sorted(self._known, key=lambda name: self._known[name].at)[: int(share)]
        return new | (wanted & domains.keys()) | set(oldest)

    def _auto_starting(self) -> set[str]:
        flag = libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART
        return {domain.UUIDString() for domain in self._connection.listAllDomains(flag)}


def _read(domain: libvirt.virDomain) -> str | None:
    """None of one that has just gone."""
    try:
        return str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
