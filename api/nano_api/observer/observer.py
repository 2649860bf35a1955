# SPDX-License-Identifier: Apache-2.0
"""Watches every cell through libvirt, read only, and keeps the rows true."""

from __future__ import annotations

import random
import threading
import time
from datetime import datetime
from typing import Any

import libvirt
import structlog
from sqlalchemy import select

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.observer.connection import libvirt_uri
from nano_api.observer.sampling import HostFigures, Sample, Sampler
from nano_api.storage_pools import placement
from nano_api.storage_pools.tables import StoragePool

log = structlog.get_logger(__name__)

_SAMPLE_SECONDS = 2.0
_LOOK_FOR_CELLS_SECONDS = 1.0
_SHORTEST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 10.0


class Observer:
    """One thread per cell of the inventory."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._stopping = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._keeper = threading.Thread(target=self._keep, name="observer", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        libvirt.registerErrorHandler(_ignore_error_output, None)
        self._keeper.start()

    def stop(self) -> None:
        """Watch no longer. A thread that waits for a silent cell ends with the process."""
        self._stopping.set()
        self._keeper.join()
        for thread in self._threads.values():
            thread.join(timeout=1)

    def _keep(self) -> None:
        while not self._stopping.wait(_LOOK_FOR_CELLS_SECONDS):
            with self._cloud.database.reading() as session:
                cells = list(session.scalars(select(Cell.name).where(Cell.in_inventory)))
            for name in cells:
                thread = self._threads.get(name)
                if thread is None or not thread.is_alive():
                    thread = threading.Thread(
                        target=self._watch, args=(name,), name=f"observe-{name}", daemon=True
                    )
                    self._threads[name] = thread
                    thread.start()

    def _watch(self, name: str) -> None:
        pause = _SHORTEST_PAUSE_SECONDS
        while not self._stopping.is_set():
            cell = self._cell(name)
            if cell is None:
                return
            begun = time.monotonic()
            try:
                self._sample_until_it_breaks(cell)
                return
            except libvirt.libvirtError as error:
                self._store_lost(name, error.get_error_message() or str(error))
            if time.monotonic() - begun > _LONGEST_PAUSE_SECONDS:
                pause = _SHORTEST_PAUSE_SECONDS  # it worked for a while: try again soon
            self._stopping.wait(pause * random.uniform(0.7, 1.3))
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _cell(self, name: str) -> Cell | None:
        with self._cloud.database.reading() as session:
            cell = session.get(Cell, name)
            return cell if cell is not None and cell.in_inventory else None

    def _sample_until_it_breaks(self, cell: Cell) -> None:
        connection = libvirt.openReadOnly(libvirt_uri(cell, self._cloud.settings.runtime_folder))
        try:
            sampler = Sampler(connection)
            while not self._stopping.is_set():
                begun = now()
                self._store(cell.name, begun, sampler.sample(self._disk_pool(cell.name)))
                self._stopping.wait(_SAMPLE_SECONDS)
        finally:
            connection.close()

    def _disk_pool(self, name: str) -> str:
        with self._cloud.database.reading() as session:
            return placement.disk_pool_of_cell(session, session.get_one(Cell, name))

    def _store(self, name: str, begun: datetime, sample: Sample) -> None:
        """Write what changed, and nothing when nothing did."""
        with self._cloud.database.reading() as session:
            cell = session.get_one(Cell, name)
            shared = placement.shared_storage(session, cell.pool)
            attached = shared is not None and sample.storage_active
            changed = not cell.alive or not sample.host.close_to(_figures_of(cell))
            changed = changed or cell.storage_attached != attached
            guests = list(session.scalars(_guests_on(name)))
            changed = changed or any(_differs(guest, sample, begun) for guest in guests)
        if not changed:
            return
        with self._cloud.database.transaction() as session:
            cell = session.get_one(Cell, name)
            cell.alive, cell.seen_at, cell.problem = True, now(), None
            for field, value in vars(sample.host).items():
                setattr(cell, field, value)
            shared = placement.shared_storage(session, cell.pool)
            cell.storage_attached = shared is not None and sample.storage_active
            cell.storage_problem = _storage_problem(cell, shared)
            for guest in session.scalars(_guests_on(name)):
                if _differs(guest, sample, begun):
                    guest.running = guest.id in sample.running
                    guest.observed_at = begun

    def _store_lost(self, name: str, reason: str) -> None:
        with self._cloud.database.transaction() as session:
            cell = session.get_one(Cell, name)
            if cell.alive:
                log.warning("a cell does not answer", cell=name, reason=reason)
            cell.alive, cell.problem = False, reason


def _storage_problem(cell: Cell, shared: StoragePool | None) -> str | None:
    if shared is None or cell.storage_attached:
        return None
    return (
        f"libvirt's pool {placement.libvirt_pool(shared.name)} is not active there: is "
        f"{shared.host}:{shared.target} ({shared.type}) served, and reached from the cell?"
    )


def _guests_on(cell: str) -> Any:
    return select(Guest).where(Guest.cell == cell, Guest.state == "created")


def _differs(guest: Guest, sample: Sample, begun: datetime) -> bool:
    if guest.observed_at is not None and guest.observed_at >= begun:
        return False  # a job read it after this sample began
    return guest.running != (guest.id in sample.running)


def _figures_of(cell: Cell) -> HostFigures:
    return HostFigures(
        cell.cores,
        cell.cpu_usage_percent,
        cell.memory_bytes,
        cell.memory_available_bytes,
        cell.disk_bytes,
        cell.disk_available_bytes,
    )


def _ignore_error_output(_context: Any, _error: Any) -> None:
    """libvirt prints every error to standard error unless told otherwise; we raise and log."""
