# SPDX-License-Identifier: Apache-2.0
"""Writes down what looks found: only what changed, many cells in one transaction.

A look that began before a job read the same guest never overwrites what the job found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.database import Database
from nano_api.guests.tables import Guest, GuestDefinition
from nano_api.jobs.tables import JobLock
from nano_api.live.figures import HostFigures
from nano_api.observer.definitions import Definition, digest_of
from nano_api.observer.watch import Look
from nano_api.storage_pools import placement
from nano_api.storage_pools.tables import StoragePool

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Silence:
    """A cell that does not answer. ``lost``: for so long that its guests count as lost."""

    cell: str
    reason: str
    lost: bool
    seen_at: datetime | None


@dataclass(frozen=True)
class Finding:
    """The newest of one cell: a look with what agents told, or silence."""

    look: Look | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    silence: Silence | None = None


class _Row(NamedTuple):
    id: str
    cell: str
    state: str
    running: bool
    observed_at: datetime | None
    network_address: str | None


@dataclass(frozen=True)
class _Stored:
    """What the table has of a definition; ``digest`` stands for the text."""

    digest: str
    auto_start: bool
    running: bool
    present: bool
    seen_at: datetime


@dataclass
class _Changes:
    """What is to be written of one cell."""

    look: Look
    cell: bool = False
    guests: dict[str, dict[str, Any]] = field(default_factory=dict)
    definitions: dict[str, Definition] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.cell or self.guests or self.definitions or self.gone or self.forgotten)


class _Guests:
    """All guests' rows, by id and by cell."""

    def __init__(self, session: Session) -> None:
        columns = (
            Guest.id,
            Guest.cell,
            Guest.state,
            Guest.running,
            Guest.observed_at,
            Guest.network_address,
        )
        self._by_id = {row[0]: _Row(*row) for row in session.execute(select(*columns))}
        self._of_cell: dict[str, list[_Row]] = {}
        for row in self._by_id.values():
            self._of_cell.setdefault(row.cell, []).append(row)

        locks = select(JobLock.resource_id).where(JobLock.kind == "guest")
        self._in_jobs = frozenset(session.scalars(locks))

        self._storages: dict[str | None, StoragePool | None] = {}

    def storage_of(self, session: Session, pool: str | None) -> StoragePool | None:
        """The shared storage of a compute pool."""
        if pool not in self._storages:
            self._storages[pool] = placement.shared_storage(session, pool)
        return self._storages[pool]

    def in_job(self, guest_id: str) -> bool:
        """Whether a job is at work on it, as one that moves it to another cell."""
        return guest_id in self._in_jobs

    def get(self, guest_id: str) -> _Row | None:
        """The row of a guest, wherever it is."""
        return self._by_id.get(guest_id)

    def created_on(self, cell: str) -> list[_Row]:
        """Guests that are to be on a cell: neither being made nor being removed."""
        return [row for row in self._of_cell.get(cell, ()) if row.state == "created"]


class Store:
    """The rows of cells, guests and definitions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stored: dict[str, dict[str, _Stored]] = {}

    def write(self, findings: Iterable[Finding]) -> dict[str, set[str]]:
        """Write what differs. Cell → guests whose definitions are to be read again."""
        listed = list(findings)
        looks = {finding.look.cell: finding for finding in listed if finding.look is not None}
        silences = [finding.silence for finding in listed if finding.silence is not None]
        again: dict[str, set[str]] = {}
        with self._database.reading() as session:
            cells = {cell.name: cell for cell in session.scalars(select(Cell))}
            guests = _Guests(session)
            changes = []
            for name, finding in looks.items():
                if name in cells:
                    found, old = self._changes(session, finding, cells[name], guests)
                    changes += [found] if found else []
                    again |= {name: old} if old else {}
            quiet = [each for each in silences if _tells_news(each, cells.get(each.cell))]
        if changes or quiet:
            try:
                with self._database.transaction() as session:
                    for each in changes:
                        self._write(session, each)
                    for silence in quiet:
                        _write_silence(session, silence)
            except BaseException:
                self._stored.clear()  # nobody knows what of it is in the tables
                raise
        return again

    def forget(self, cell: str) -> None:
        """Its definitions are read from the table again when it comes back."""
        self._stored.pop(cell, None)

    def _changes(
        self, session: Session, finding: Finding, cell: Cell, guests: _Guests
    ) -> tuple[_Changes, set[str]]:
        look = finding.look
        if look is None:
            raise ValueError("a finding without a look")
        changes = _Changes(look)
        changes.cell = (
            not cell.alive or cell.problem is not None or not look.host.close_to(_figures_of(cell))
        )
        attached = look.storage_active and guests.storage_of(session, cell.pool) is not None
        changes.cell = changes.cell or cell.storage_attached != attached
        for row in guests.created_on(look.cell):
            if not _is_newer(row, look.begun):
                values = _guest_values(row, look, finding.addresses)
                if values:
                    changes.guests[row.id] = values
        again = self._compare_definitions(session, changes, guests)
        return changes, again

    def _compare_definitions(
        self, session: Session, changes: _Changes, guests: _Guests
    ) -> set[str]:
        look, again = changes.look, set()
        stored = self._stored_of(session, look.cell)
        for guest_id, found in look.definitions.items():
            row, before = guests.get(guest_id), stored.get(guest_id)
            if row is not None and _is_newer(row, found.begun):
                if row.cell == look.cell:
                    again.add(guest_id)  # a job has read it since: look once more, then compare
                continue
            if before is None or _differs(before, found, guest_id in look.running, row):
                changes.definitions[guest_id] = found
        here = {row.id: row for row in guests.created_on(look.cell)}
        for guest_id, row in here.items():
            kept = stored.get(guest_id)
            missing = guest_id not in look.domains and not _is_newer(row, look.begun)
            if missing and not guests.in_job(guest_id) and (kept is None or kept.present):
                changes.gone.add(guest_id)
        for guest_id in stored.keys() - look.domains - here.keys():
            row = guests.get(guest_id)
            if row is None or row.cell != look.cell:
                changes.forgotten.add(guest_id)
        return again

    def _stored_of(self, session: Session, cell: str) -> dict[str, _Stored]:
        if cell not in self._stored:
            rows = session.scalars(select(GuestDefinition).where(GuestDefinition.cell == cell))
            self._stored[cell] = {row.guest_id: _as_stored(row) for row in rows}
        return self._stored[cell]

    def _write(self, session: Session, changes: _Changes) -> None:
        look = changes.look
        cell = session.get(Cell, look.cell)
        if cell is None:
            return
        if not cell.alive:
            log.info("a cell answers", cell=look.cell)
        cell.alive, cell.seen_at, cell.problem = True, look.begun, None
        for name, value in vars(look.host).items():
            setattr(cell, name, value)
        shared = placement.shared_storage(session, cell.pool)
        cell.storage_attached = shared is not None and look.storage_active
        cell.storage_problem = _storage_problem(cell, shared)
        for guest_id, values in changes.guests.items():
            guest = session.get(Guest, guest_id)
            if guest is None or (guest.observed_at is not None and guest.observed_at >= look.begun):
                continue  # a job has read it since this look began
            for name, value in values.items():
                setattr(guest, name, value)
            if "running" in values:
                guest.observed_at = look.begun
        stored = self._stored[look.cell]
        for guest_id, found in changes.definitions.items():
            running = guest_id in look.running
            row = session.merge(_as_row(look.cell, guest_id, found, running))
            stored[guest_id] = _as_stored(row)
        for guest_id in changes.gone:
            log.warning("a guest was removed from outside", cell=look.cell, guest=guest_id)
            gone = session.get(GuestDefinition, (look.cell, guest_id))
            if gone is None:  # nobody has ever seen it
                gone = GuestDefinition(cell=look.cell, guest_id=guest_id, name="", xml="")
                session.add(gone)
            gone.present, gone.running, gone.seen_at = False, False, look.begun
            gone.auto_start = bool(gone.auto_start)
            stored[guest_id] = _as_stored(gone)
        if changes.forgotten:
            session.execute(
                delete(GuestDefinition).where(
                    GuestDefinition.cell == look.cell,
                    GuestDefinition.guest_id.in_(changes.forgotten),
                )
            )
            for guest_id in changes.forgotten:
                stored.pop(guest_id, None)


def _storage_problem(cell: Cell, shared: StoragePool | None) -> str | None:
    if shared is None or cell.storage_attached:
        return None
    return (
        f"libvirt's pool {placement.libvirt_pool(shared.name)} is not active there: is "
        f"{shared.host}:{shared.target} ({shared.type}) served, and reached from the cell? Then add"
        " the cell to the pool once more"
    )


def _is_newer(row: _Row, begun: datetime) -> bool:
    return row.observed_at is not None and row.observed_at >= begun


def _guest_values(row: _Row, look: Look, addresses: Mapping[str, str]) -> dict[str, Any]:
    running = row.id in look.running
    values: dict[str, Any] = {}
    if running != row.running:
        values["running"] = running
    address = addresses.get(row.id) if running else None
    if address != row.network_address and (address or not running):
        values["network_address"] = address
    return values


def _differs(before: _Stored, found: Definition, running: bool, row: _Row | None) -> bool:
    if (before.auto_start, before.running) != (found.auto_start, running) or not before.present:
        return True
    if before.digest != found.digest:
        return True
    read_by_a_job = row.observed_at if row is not None else None
    return read_by_a_job is not None and before.seen_at <= read_by_a_job


def _as_row(cell: str, guest_id: str, found: Definition, running: bool) -> GuestDefinition:
    return GuestDefinition(
        cell=cell,
        guest_id=guest_id,
        name=found.name,
        xml=found.xml,
        auto_start=found.auto_start,
        running=running,
        present=True,
        seen_at=found.begun,
    )


def _as_stored(row: GuestDefinition) -> _Stored:
    digest = digest_of(row.name, row.xml)
    return _Stored(digest, row.auto_start, row.running, row.present, row.seen_at)


def _tells_news(silence: Silence, cell: Cell | None) -> bool:
    if cell is None:
        return False
    if cell.alive:
        return silence.lost
    return cell.problem != silence.reason


def _write_silence(session: Session, silence: Silence) -> None:
    cell = session.get(Cell, silence.cell)
    if cell is None:
        return
    if cell.alive:
        log.warning("a cell does not answer", cell=cell.name, reason=silence.reason)
    cell.alive, cell.problem = False, silence.reason
    cell.seen_at = silence.seen_at or cell.seen_at


def _figures_of(cell: Cell) -> HostFigures:
    return HostFigures(
        cell.cores,
        cell.cpu_usage_percent,
        cell.memory_bytes,
        cell.memory_available_bytes,
        cell.disk_bytes,
        cell.disk_available_bytes,
    )
