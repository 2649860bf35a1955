# SPDX-License-Identifier: Apache-2.0
"""Watching one cell: its connection, what it tells by itself, and looks at it.

Everything but the callbacks of libvirt's events is called by one thread at a time, the one that
has the cell from the observer's queue. The callbacks run in libvirt's event loop and only note
what happened.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import libvirt

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.live.figures import CellNow, HostFigures
from nano_api.observer.connection import Route
from nano_api.observer.definitions import Definition, DefinitionReader
from nano_api.observer.events import Listener
from nano_api.observer.sampling import Sampler

_KEEPALIVE_SECONDS, _KEEPALIVE_COUNT = 5, 1
#: Silence after which a cell counts as lost, and how much of it we must have been asking.
LOST_SECONDS = 10.0
_ASKED_SECONDS = 5.0


@dataclass(frozen=True)
class Look:
    """What a look at a cell found. ``begun``: nothing in it is older."""

    cell: str
    begun: datetime
    figures: CellNow
    host: HostFigures
    running: frozenset[str]
    domains: frozenset[str]
    definitions: Mapping[str, Definition]
    storage_active: bool


class CellWatch:
    """One cell of the inventory."""

    def __init__(
        self,
        cell: Cell,
        pool: str,
        folder: Path,
        wake: Callable[[], None],
        count: Callable[[str], None],
    ) -> None:
        """``folder`` takes the ssh commands; ``wake`` and ``count`` are told of every event."""
        self.name = cell.name
        self.origin = (cell.address, dict(cell.connection))
        self.address_route = Route(cell, folder, "agents")
        self._route = Route(cell, folder, "look")
        #: libvirt's pool of guests' disks; another one when the cell joins a pool of ours.
        self.pool = pool
        self._wake = wake
        self._connection: libvirt.virConnect | None = None
        self._sampler: Sampler | None = None
        self._definitions: DefinitionReader | None = None
        self._broken = threading.Event()
        self.listener = Listener(self._happened, count)
        #: When an event last asked for a look sooner than usual.
        self.urgent = threading.Event()
        self.answered_at = time.monotonic()
        self.seen_at: datetime | None = None
        self._asking_since: float | None = None
        self._opening_since: float | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection that still seems to work."""
        return self._connection is not None and not self._broken.is_set()

    def silent(self) -> bool:
        """Whether it is lost: it has not answered for long, and we have been asking."""
        at, since = time.monotonic(), self._asking_since
        asked = since is not None and at - since >= _ASKED_SECONDS
        return asked and at - self.answered_at >= LOST_SECONDS

    def connect(self) -> None:
        """:raises libvirt.libvirtError: the cell does not answer"""
        self.close()
        self._begin_to_ask()
        self._opening_since = time.monotonic()
        try:
            connection = libvirt.openReadOnly(self._route.uri)
        finally:
            self._opening_since = None
        self._connection = connection
        self._broken.clear()
        self._keep_alive(connection)
        self.listener.register(connection)
        self._definitions = DefinitionReader(connection)
        self._sampler = Sampler(connection)

    def cut_long_opening(self, seconds: float) -> None:
        """End an opening that takes longer; called by the observer's own thread."""
        since = self._opening_since
        if since is not None and time.monotonic() - since > seconds:
            self._route.cut()

    def look(self) -> Look:
        """:raises libvirt.libvirtError: the cell does not answer"""
        if self._sampler is None or self._definitions is None:
            raise RuntimeError("look before connect")
        self._begin_to_ask()
        self.urgent.clear()
        for guest_id in self.listener.take_changed():
            self._definitions.read_again(guest_id)
        if self.listener.take_pools_changed():
            self._sampler.pools_changed()
        sample = self._sampler.sample(self.pool)
        definitions = self._definitions.look(sample.domains)
        self.listener.note_running(sample.running, sample.domains)
        self.answered_at, self.seen_at = time.monotonic(), now()
        self._asking_since = None
        return Look(
            self.name,
            sample.figures.at,
            sample.figures,
            sample.host,
            sample.running,
            frozenset(sample.domains),
            definitions,
            sample.storage_active,
        )

    def read_again(self, guest_id: str) -> None:
        """Read a guest's definition at the next look."""
        definitions = self._definitions
        if definitions is not None:
            definitions.read_again(guest_id)

    def close(self) -> None:
        """End the connection, if there is one."""
        connection, self._connection = self._connection, None
        self._sampler = self._definitions = None
        if connection is not None:
            self.listener.forget(connection)
            # What may still be told keeps a connection open.
            with contextlib.suppress(libvirt.libvirtError):
                connection.unregisterCloseCallback()
            with contextlib.suppress(libvirt.libvirtError):
                connection.close()

    def _begin_to_ask(self) -> None:
        if self._asking_since is None:
            self._asking_since = time.monotonic()

    def _keep_alive(self, connection: libvirt.virConnect) -> None:
        with contextlib.suppress(libvirt.libvirtError):  # a driver inside this process has none
            connection.setKeepAlive(_KEEPALIVE_SECONDS, _KEEPALIVE_COUNT)
            connection.registerCloseCallback(self._closed, None)

    def _closed(self, _connection: Any, _reason: int, _opaque: Any) -> None:
        self._broken.set()
        self._happened()

    def _happened(self) -> None:
        self.urgent.set()
        self._wake()
