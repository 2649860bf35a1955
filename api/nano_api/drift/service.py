# SPDX-License-Identifier: Apache-2.0
"""Drift, and guests that nobody knows: listed from rows, settled by jobs."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.drift.comparing import Difference, differences
from nano_api.errors import Conflict, InvalidInput, NotFound
from nano_api.guests import allocation, changes
from nano_api.guests import service as guests
from nano_api.guests.options import wanted_options
from nano_api.guests.tables import Guest, GuestDefinition
from nano_api.jobs import service as jobs
from nano_api.jobs.service import Requester, Subject
from nano_api.jobs.tables import Job, JobLock
from nano_api.naming import check_guest_word

#: The module cannot give a disk back, nor take one away.
_NOT_REPAIRABLE = frozenset({"disks", "definition"})
#: Whose guest it is is decided here; a policy's rules cannot be read from a definition.
_NOT_ACCEPTABLE = frozenset({"owner", "group", "template", "security_policy", "definition"})


@dataclass(frozen=True)
class Drift:
    """A guest that is not as it is wanted; ``missing``: its cell does not have it at all."""

    guest: Guest
    definition: GuestDefinition
    missing: bool
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class UnknownGuest:
    """A domain that no guest stands for. ``copy``: it has the id of a guest of another cell."""

    definition: GuestDefinition
    copy: bool


def all_drifts(session: Session) -> list[Drift]:
    """Every guest that drifted, by name."""
    query = _comparable().order_by(Guest.name)
    found = (_drift(guest, definition) for guest, definition in session.execute(query))
    return [drift for drift in found if drift is not None]


def drift_of(session: Session, guest_id: str) -> Drift:
    """:raises NotFound: no such guest, or it is as it should be, as far as anybody has seen"""
    guest = guests.get(session, guest_id)
    row = session.execute(_comparable().where(Guest.id == guest_id)).first()
    drift = _drift(row[0], row[1]) if row is not None else None
    if drift is None:
        raise NotFound(f"no drift of guest '{guest.name}' is known", guest=guest_id)
    return drift


def repair(session: Session, guest_id: str, requester: Requester) -> Job:
    """Submit the job that makes the guest what it should be.

    :raises NotFound: nothing to repair
    :raises Conflict: no change of ours can repair it; says what can
    """
    changes.ready(session, guest_id)
    drift = drift_of(session, guest_id)
    if drift.missing:
        if not drift.definition.xml:
            raise Conflict(
                f"guest '{drift.guest.name}' is gone, and nobody has seen how it was: "
                "delete it, and create it anew",
                guest=guest_id,
            )
        return guests.submit(session, "guest_define", drift.guest, requester)
    wanted = wanted_options(drift.guest)
    repairable = {
        each.option for each in drift.differences if each.option not in _NOT_REPAIRABLE
    } & wanted.keys()
    if not repairable:
        fields = ", ".join(each.field for each in drift.differences)
        raise Conflict(
            f"{fields} of guest '{drift.guest.name}' cannot be repaired from here: accept what is "
            f"there, or put it right on cell '{drift.guest.cell}'",
            guest=guest_id,
        )
    options = {name: wanted[name] for name in sorted(repairable)}
    return guests.submit(session, "guest_change", drift.guest, requester, {"changes": options})


def accept(session: Session, guest_id: str, requester: Requester) -> Job:
    """Submit the job that reads the guest and takes what is there for what is wanted.

    :raises NotFound: nothing to accept
    :raises Conflict: it cannot be accepted; says what can be done
    """
    changes.ready(session, guest_id)
    drift = drift_of(session, guest_id)
    if drift.missing:
        raise Conflict(
            f"guest '{drift.guest.name}' is gone from cell '{drift.guest.cell}': repair defines it "
            "again on the disks that it had; deleting it removes these too",
            guest=guest_id,
        )
    if all(each.option in _NOT_ACCEPTABLE for each in drift.differences):
        fields = ", ".join(each.field for each in drift.differences)
        raise Conflict(
            f"{fields} of guest '{drift.guest.name}' cannot be accepted: repair it", guest=guest_id
        )
    return guests.submit(session, "guest_accept", drift.guest, requester)


def unknown_guests(session: Session) -> list[UnknownGuest]:
    """Every domain of a live cell that no guest stands for, by cell and name."""
    query = (
        select(GuestDefinition, Guest.id)
        .join(Cell, Cell.name == GuestDefinition.cell)
        .outerjoin(Guest, Guest.id == GuestDefinition.guest_id)
        .where(Cell.alive, GuestDefinition.present)
        .where(Guest.id.is_(None) | (Guest.cell != GuestDefinition.cell))
        .where(GuestDefinition.guest_id.not_in(_in_jobs()))
        .order_by(GuestDefinition.cell, GuestDefinition.name)
    )
    return [UnknownGuest(row, guest_id is not None) for row, guest_id in session.execute(query)]


def adopt(
    session: Session,
    cloud: Cloud,
    cell_name: str,
    guest_id: str,
    owner: str,
    group: str,
    requester: Requester,
) -> Job:
    """Submit the job that makes an unknown domain a guest of ours. It runs on meanwhile.

    :raises NotFound: nobody has seen such a domain
    :raises Conflict: it is a copy of a guest, its cell has no pool, or its name is taken
    """
    check_guest_word(owner, "owner")
    check_guest_word(group, "group")
    found = {
        (each.definition.cell, each.definition.guest_id): each for each in unknown_guests(session)
    }.get((cell_name, guest_id))
    if found is None:
        raise NotFound(f"no unknown guest '{guest_id}' on cell '{cell_name}'", guest=guest_id)
    name = found.definition.name
    if found.copy:
        raise Conflict(
            f"'{name}' on cell '{cell_name}' is a copy of guest '{guest_id}', which is on another "
            "cell",
            guest=guest_id,
        )
    cell = session.get_one(Cell, cell_name)
    if cell.pool is None:
        raise Conflict(
            f"cell '{cell_name}' belongs to no pool: add it to one first", cell=cell_name
        )
    if session.scalar(select(Guest.id).where(Guest.pool == cell.pool, Guest.name == name)):
        raise Conflict(f"instance '{name}' already exists in pool '{cell.pool}'", name=name)
    if len(name) > 129:
        raise InvalidInput(f"the name of '{name[:80]}' is too long: rename it first", field="name")
    port = allocation.free_display_port(session, cell_name)
    return jobs.submit(
        session,
        "guest_adopt",
        subject=Subject("guest", guest_id, name),
        cells=[cell_name],
        requester=requester,
        parameters={
            "pool": cell.pool,
            "owner": owner,
            "group": group,
            "mac": allocation.free_mac(session),
            "display_port": port,
            "monitor_secret_sealed": cloud.secrets.seal(allocation.new_monitor_secret()),
        },
        locks=[jobs.Lock(allocation.PORT_LOCK, allocation.port_id(cell_name, port))],
    )


def _comparable() -> Select[Guest, GuestDefinition]:
    """Guests whose definition was seen on their live cell, after every job about them."""
    return (
        select(Guest, GuestDefinition)
        .join(
            GuestDefinition,
            (GuestDefinition.guest_id == Guest.id) & (GuestDefinition.cell == Guest.cell),
        )
        .join(Cell, Cell.name == Guest.cell)
        .where(Cell.alive, Guest.state == "created", Guest.id.not_in(_in_jobs()))
        .where(Guest.observed_at.is_(None) | (GuestDefinition.seen_at > Guest.observed_at))
    )


def _in_jobs() -> Select[str]:
    return select(JobLock.resource_id).where(JobLock.kind == "guest")


def _drift(guest: Guest, definition: GuestDefinition) -> Drift | None:
    if not definition.present:
        return Drift(guest, definition, True, ())
    found = differences(guest, definition)
    return Drift(guest, definition, False, found) if found else None
