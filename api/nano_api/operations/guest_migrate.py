# SPDX-License-Identifier: Apache-2.0
"""Move guests of one cell to others."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.guests import addresses
from nano_api.guests.tables import Guest
from nano_api.jobs.progress import Step
from nano_api.jobs.tables import Job
from nano_api.operations.base import Operation, Outcome, Playbook, RunVariables, end_state
from nano_api.operations.guest_observation import store_observed

_MOVE, _READ_BACK = "Move the guest", "Read the guests back"
_MIGRATE = Playbook("guest_migrate.yml", (Step(_MOVE, 100),), _READ_BACK)
_CANCEL = Playbook("guest_migrate_cancel.yml", (Step("End the migration", 100),), _READ_BACK)


def variables(session: Session, _cloud: Cloud, job: Job) -> RunVariables:
    """The guests, each with its target, its display's port there, and its address."""
    wanted = []
    for each in job.parameters["guests"]:
        guest = {name: each[name] for name in ("id", "cell", "display_port")}
        lease = addresses.lease_of(session, session.get_one(Guest, each["id"]))
        wanted.append({**guest, "lease": lease} if lease is not None else guest)
    return RunVariables({"nano_source_cell": job.parameters["source"], "nano_guests": wanted})


def apply(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """Each guest is where it was found."""
    reasons = _reasons(outcome)
    results = []
    for wanted in job.parameters["guests"]:
        guest = session.get_one(Guest, wanted["id"])
        places = _places(outcome, guest.id)
        if wanted["cell"] in places and job.parameters["source"] not in places:
            guest.cell, guest.display_port = wanted["cell"], wanted["display_port"]
        if guest.cell in places:
            store_observed(guest, places[guest.cell])
        result = {"id": guest.id, "name": guest.name, "state": "succeeded"}
        if guest.cell != wanted["cell"]:
            failure = outcome.failure
            reason = reasons.get(guest.id) or (failure.message if failure else "it did not move")
            result |= {"state": end_state(failure) if failure else "failed", "error": reason}
        results.append(result)
    return results


def _places(outcome: Outcome, guest_id: str) -> dict[str, Any]:
    """Cell → the guest as it was read there; normally one."""
    return {
        cell: guest
        for cell, found in outcome.observed.items()
        for guest in found.get("guests") or ()
        if guest["id"] == guest_id and not guest["incomplete"]
    }


def _reasons(outcome: Outcome) -> dict[str, str]:
    """Guest's id → why it did not move."""
    found = {}
    for of_cell in outcome.results.get(_MOVE, {}).values():
        for item in of_cell.get("results") or ():
            if item.get("failed"):
                found[str(item["guest_migrate_one"]["id"])] = str(item.get("msg", ""))
    return found


GUEST_MIGRATE = Operation(
    name="guest_migrate",
    playbook=_MIGRATE,
    settle=_CANCEL,
    resume="rerun",
    variables=variables,
    apply=apply,
)
