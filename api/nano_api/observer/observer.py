# SPDX-License-Identifier: Apache-2.0
"""Watches every cell through libvirt, read only, and keeps the rows true.

One thread hands cells that are due to two small pools of threads: one opens connections, which
may take long, the other looks at cells that answer. One more thread writes. A cell is never in
two hands at once, so one that hangs holds one thread, not the others' cells.
"""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import libvirt
import structlog
from sqlalchemy import select

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.compute_pools.tables import ComputePool
from nano_api.observer import event_loop
from nano_api.observer.addresses import AddressBook
from nano_api.observer.lease import RENEW_SECONDS, ObserverLease
from nano_api.observer.recording import Recorder
from nano_api.observer.store import Finding, Silence
from nano_api.observer.watch import CellWatch
from nano_api.storage_pools import placement
from nano_api.storage_pools.tables import StoragePool

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 2.0
#: Between two looks that events asked for.
_SHORTEST_LOOK_SECONDS = 0.2
_LOOK_FOR_CELLS_SECONDS = 2.0
_TICK_SECONDS = 0.1
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 15.0
#: An ssh that has not opened libvirt by then never will.
_LONGEST_OPENING_SECONDS = 20.0
_ADDRESS_THREADS = 2


@dataclass
class _Watched:
    """A cell and when it is to be looked at next."""

    watch: CellWatch
    addresses: AddressBook
    due: float
    looked_at: float = 0.0
    busy: bool = False
    asking_agents: bool = False
    gone: bool = False
    pause: float = _SHORTEST_PAUSE_SECONDS
    problem: str = field(default="it has not been reached yet")


class Observer:
    """All cells of the inventory, with a number of threads that does not grow with them."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._watched: dict[str, _Watched] = {}
        self._recorder = Recorder(cloud, self._read_again)
        self._lease = ObserverLease(cloud.database)
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        threads = cloud.settings.observer_threads
        self._lookers = ThreadPoolExecutor(threads, "look")
        self._openers = ThreadPoolExecutor(threads, "open")
        self._askers = ThreadPoolExecutor(_ADDRESS_THREADS, "ask-agents")

    def start(self) -> None:
        """Begin to watch."""
        event_loop.ensure_running()
        self._recorder.start()
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer. What waits for a silent cell is not waited for."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()
        for pool in (self._lookers, self._openers, self._askers):
            pool.shutdown(wait=False, cancel_futures=True)
        self._recorder.stop()
        self._lease.give_back()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._lease.renew():
                    self._observe()
            except Exception:
                log.exception("the observer failed, and begins anew")
            self._stopping.wait(RENEW_SECONDS)

    def _observe(self) -> None:
        """Until this process stops, or another one has the lease."""
        self._cloud.live.observing(True)
        cells_due = renew_due = 0.0
        try:
            while not self._stopping.is_set():
                at = time.monotonic()
                if at >= renew_due:
                    if not self._lease.renew():
                        log.warning("another process observes now")
                        return
                    renew_due = at + RENEW_SECONDS
                if at >= cells_due:
                    self._follow_inventory()
                    cells_due = at + _LOOK_FOR_CELLS_SECONDS
                for each in list(self._watched.values()):
                    self._attend(each, at)
                self._wake.wait(_TICK_SECONDS)
                self._wake.clear()
        finally:
            for name in list(self._watched):
                self._drop(name)
            self._cloud.live.observing(False)

    def _follow_inventory(self) -> None:
        with self._cloud.database.reading() as session:
            # Loaded once, so that no cell costs a question of its own.
            _loaded = [*session.scalars(select(ComputePool)), *session.scalars(select(StoragePool))]
            wanted = {
                each.name: each for each in session.scalars(select(Cell)) if each.in_inventory
            }
            pools = {
                name: placement.disk_pool_of_cell(session, each) for name, each in wanted.items()
            }
        for name, each in list(self._watched.items()):
            cell = wanted.get(name)
            if cell is None or each.watch.origin != (cell.address, cell.connection):
                self._drop(name)
        for name, cell in wanted.items():
            if name in self._watched:
                self._watched[name].watch.pool = pools[name]
            else:
                folder = self._cloud.settings.runtime_folder
                count = self._cloud.live.count_event
                watch = CellWatch(cell, pools[name], folder, self._wake.set, count)
                # Spread, so that the cells of a large cloud do not all come at the same moment.
                due = time.monotonic() + random.uniform(0, min(2.0, len(wanted) / 50))
                self._watched[name] = _Watched(watch, AddressBook(watch), due)

    def _drop(self, name: str) -> None:
        each = self._watched.pop(name)
        each.gone = True
        if not each.busy:
            self._close(each)
        self._recorder.forget(name)

    def _attend(self, each: _Watched, at: float) -> None:
        watch = each.watch
        if each.busy:
            watch.cut_long_opening(_LONGEST_OPENING_SECONDS)
            if watch.silent():
                self._tell_silence(each)
            return
        if watch.urgent.is_set() and at - each.looked_at >= _SHORTEST_LOOK_SECONDS:
            each.due = min(each.due, at) if watch.connected or not each.looked_at else each.due
        if at < each.due:
            return
        each.busy, each.looked_at = True, at
        if watch.connected:
            self._lookers.submit(self._look, each)
        else:
            self._openers.submit(self._open, each)
        self._ask_agents(each)

    def _open(self, each: _Watched) -> None:
        try:
            each.watch.connect()
            each.due = time.monotonic()
        except libvirt.libvirtError as error:
            self._failed(each, error)
        except Exception:
            log.exception("opening a cell failed", cell=each.watch.name)
            self._postpone(each)
        finally:
            self._done(each)

    def _look(self, each: _Watched) -> None:
        begun = time.monotonic()
        try:
            look = each.watch.look()
            each.pause = _SHORTEST_PAUSE_SECONDS
            each.due = begun + _LOOK_SECONDS
            if not each.gone:
                self._recorder.put(Finding(look, each.addresses.known()))
        except libvirt.libvirtError as error:
            self._failed(each, error)
        except Exception:
            log.exception("looking at a cell failed", cell=each.watch.name)
            self._postpone(each)
        finally:
            self._done(each)

    def _failed(self, each: _Watched, error: libvirt.libvirtError) -> None:
        each.problem = error.get_error_message() or str(error)
        self._postpone(each)

    def _postpone(self, each: _Watched) -> None:
        self._close(each)
        each.due = time.monotonic() + each.pause * random.uniform(0.7, 1.3)
        each.pause = min(each.pause * 2, _LONGEST_PAUSE_SECONDS)
        if not each.gone:
            self._tell_silence(each)

    def _tell_silence(self, each: _Watched) -> None:
        watch = each.watch
        silence = Silence(watch.name, each.problem, watch.silent(), watch.seen_at)
        self._recorder.put(Finding(silence=silence))

    def _done(self, each: _Watched) -> None:
        each.busy = False
        if each.gone:
            self._close(each)
        self._wake.set()

    def _close(self, each: _Watched) -> None:
        try:
            each.watch.close()
        except libvirt.libvirtError as error:
            log.info("a connection did not close", cell=each.watch.name, reason=str(error))

    def _ask_agents(self, each: _Watched) -> None:
        if each.asking_agents or not each.watch.connected:
            return
        due = each.addresses.due()
        if due:
            each.asking_agents = True
            self._askers.submit(self._ask, each, due)

    def _ask(self, each: _Watched, guest_ids: list[str]) -> None:
        try:
            if each.addresses.ask(guest_ids):
                each.watch.urgent.set()
                self._wake.set()
        except Exception:
            log.exception("asking agents failed", cell=each.watch.name)
        finally:
            each.asking_agents = False

    def _read_again(self, cell: str, guest_id: str) -> None:
        each = self._watched.get(cell)
        if each is not None:
            each.watch.read_again(guest_id)
