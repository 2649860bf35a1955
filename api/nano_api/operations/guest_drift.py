# SPDX-License-Identifier: Apache-2.0
"""What was done from outside becomes ours: changes of a guest, a whole unknown guest, or its end.

Repairing a changed guest is ``guest_change``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.guests.options import NO_DEVICE
from nano_api.guests.tables import Guest, GuestDefinition
from nano_api.jobs.progress import Step
from nano_api.jobs.tables import Job
from nano_api.operations.base import Operation, Outcome, Playbook, RunVariables, result_of
from nano_api.operations.guest_observation import observed_guest, store_observed
from nano_api.operations.guest_playbooks import CHANGE, READ, READ_BACK

from ansible_collections.nano.cloud.plugins.module_utils import domain_xml  # isort: skip

_DEFINE = Playbook(
    "guest_define.yml",
    (
        Step("Define the guest", 50),
        Step("Give it its password", 40),
        Step(READ_BACK, 10, changes=False),
    ),
    READ_BACK,
)


def _only_the_id(_session: Session, _cloud: Cloud, job: Job) -> RunVariables:
    return RunVariables({"nano_guest": {"id": job.subject_id}})


def _definition(session: Session, cloud: Cloud, job: Job) -> RunVariables:
    """The definition as it was last seen, and the password that was never in it."""
    guest = session.get_one(Guest, job.subject_id)
    seen = session.get_one(GuestDefinition, (guest.cell, guest.id))
    password = cloud.secrets.open(guest.monitor_secret_sealed)
    variables = {
        "nano_guest": {
            "id": guest.id,
            "display": {"password": password},
            "auto_start": guest.auto_start,
        },
        "nano_definition": seen.xml,
    }
    return RunVariables(variables, (password,))


def _store_again(
    session: Session, _cloud: Cloud, job: Job, outcome: Outcome
) -> list[dict[str, Any]]:
    guest = session.get_one(Guest, job.subject_id)
    found = observed_guest(outcome, guest.id)
    if found is not None:
        store_observed(guest, found)
    return result_of(job, outcome)


def _accept(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """The row takes what was read back."""
    guest = session.get_one(Guest, job.subject_id)
    found = observed_guest(outcome, guest.id)
    if found is None:
        return _failed(job, outcome, f"guest '{guest.name}' is not on cell '{guest.cell}'")
    seen = session.get(GuestDefinition, (guest.cell, guest.id))
    # A running guest shows the port that it has now, its definition the one that is wanted.
    port = domain_xml.facts(seen.xml).display_port if seen is not None else None
    port = port or guest.display_port
    taken = _taken(session, guest.id, (guest.pool, guest.cell, port), found)
    if taken:
        return _failed(job, outcome, taken)
    store_observed(guest, found)
    _store_devices(guest, found)
    guest.display_port = port
    guest.name = str(found["name"])
    if not found["security_policy"]:
        guest.policy = {}
    return result_of(job, outcome)


def _ownership(_session: Session, cloud: Cloud, job: Job) -> RunVariables:
    """Metadata of ours and a display that our channels can reach."""
    wanted = job.parameters
    password = cloud.secrets.open(wanted["monitor_secret_sealed"])
    guest = {
        "id": job.subject_id,
        "owner": wanted["owner"],
        "group": wanted["group"],
        "display": {"port": wanted["display_port"], "password": password},
    }
    return RunVariables({"nano_guest": guest}, (password,))


def _adopt(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """The guest gets its row, once the domain has been seen to be ours."""
    found, wanted = observed_guest(outcome, job.subject_id), job.parameters
    if found is None:
        return _failed(
            job, outcome, f"'{job.subject_name}' is not on cell '{job.cells[0]}' any more"
        )
    if not outcome.ok or not found["managed"]:
        return _failed(job, outcome, "its metadata was not written")
    place = (wanted["pool"], job.cells[0], wanted["display_port"])
    taken = _taken(session, job.subject_id, place, found)
    if taken:
        return _failed(job, outcome, taken)
    guest = Guest(
        id=job.subject_id,
        name=str(found["name"]),
        owner=wanted["owner"],
        group=wanted["group"],
        pool=wanted["pool"],
        cell=job.cells[0],
        template_id=str(found["template"] or ""),
        hardware={"operating_system": "linux"},
        modules=[],
        mac=wanted["mac"],
        display_port=wanted["display_port"],
        monitor_secret_sealed=wanted["monitor_secret_sealed"],
        state="created",
        job_id=job.id,
    )
    store_observed(guest, found)
    _store_devices(guest, found)
    session.add(guest)
    return result_of(job, outcome)


def _store_devices(guest: Guest, found: Mapping[str, Any]) -> None:
    network, display = found["network"], found["display"]
    guest.hardware = {
        **guest.hardware,
        "disk": found["disk_bus"],
        "network": network["model"] if network else NO_DEVICE,
        "display": found["video"],
        "control": display["protocol"],
        "usb": found["usb"],
        "tablet": found["tablet"],
    }
    if network:
        guest.mac = str(network["mac"])
    modules = [module for module in guest.modules if module != "qemu"]
    guest.modules = ["qemu", *modules] if found["agent"] else modules


def _taken(
    session: Session, guest_id: str, place: tuple[str, str, int], found: Mapping[str, Any]
) -> str | None:
    """What of it another guest has already; a row must be the only one with it."""
    pool, cell, port = place
    others = select(Guest.name).where(Guest.id != guest_id)
    network = found["network"]
    clashes = [(others.where(Guest.pool == pool, Guest.name == found["name"]), "its name")]
    if network:
        clashes.append((others.where(Guest.mac == network["mac"]), f"MAC {network['mac']}"))
    same = others.where(Guest.cell == cell, Guest.display_port == port)
    clashes.append((same, f"display port {port}"))
    for query, what in clashes:
        other = session.scalars(query).first()
        if other is not None:
            return f"guest '{other}' has {what} already"
    return None


def _failed(job: Job, outcome: Outcome, reason: str) -> list[dict[str, Any]]:
    if outcome.failure is not None:
        return result_of(job, outcome)
    return [{**result_of(job, outcome)[0], "state": "failed", "error": reason}]


GUEST_DEFINE = Operation("guest_define", _DEFINE, READ, "rerun", _definition, _store_again)
GUEST_ACCEPT = Operation("guest_accept", READ, READ, "rerun", _only_the_id, _accept)
GUEST_ADOPT = Operation("guest_adopt", CHANGE, READ, "rerun", _ownership, _adopt)
