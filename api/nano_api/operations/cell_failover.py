# SPDX-License-Identifier: Apache-2.0
"""Start the guests of a lost cell on others, and let a cell take part in failover (again)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.jobs.progress import Step
from nano_api.jobs.tables import Job
from nano_api.operations.base import (
    Operation,
    Outcome,
    Playbook,
    RunVariables,
    end_state,
    result_of,
)
from nano_api.operations.guest_observation import store_observed

_READ_BACK = "Read the guests back"
_TAKE, _START = "Take the guests over", "Start the guests"

_FAILOVER = Playbook(
    "cell_failover.yml",
    (
        Step("Switch the lost cell off", 10),
        Step("Take its lease back", 40),
        Step(_TAKE, 20),
        Step(_START, 25),
        Step(_READ_BACK, 5, changes=False),
    ),
    _READ_BACK,
)
_READ = Playbook("guests_read.yml", (Step(_READ_BACK, 100, changes=False),), _READ_BACK)
_LEASE = Playbook(
    "cell_lease.yml",
    (
        Step("Forget guests that live elsewhere", 30),
        Step("Settle the lease", 65),
        Step(_READ_BACK, 5, changes=False),
    ),
    _READ_BACK,
)


def failover_variables(_session: Session, _cloud: Cloud, job: Job) -> RunVariables:
    """Each cell's new guests, and which of them are started."""
    guests: dict[str, list[dict[str, Any]]] = defaultdict(list)
    start: dict[str, list[str]] = defaultdict(list)
    for each in job.parameters["guests"]:
        wanted = {name: each[name] for name in ("id", "display_port", "auto_start")}
        guests[each["cell"]].append(wanted)
        if each["start"]:
            start[each["cell"]].append(each["id"])
    return RunVariables(
        {
            "nano_lost_cell": job.subject_id,
            "nano_pool": job.parameters["storage"],
            "nano_guests": dict(guests),
            "nano_start": dict(start),
        }
    )


def apply_failover(
    session: Session, _cloud: Cloud, job: Job, outcome: Outcome
) -> list[dict[str, Any]]:
    """Each guest is where it was found; one that was found nowhere stays lost."""
    reasons = {**_reasons(outcome, _START), **_reasons(outcome, _TAKE)}
    results = []
    for each in job.parameters["guests"]:
        guest = session.get(Guest, each["id"])
        if guest is None:
            continue
        found = _found(outcome, each["cell"], guest.id)
        if found is not None:
            guest.cell, guest.display_port = each["cell"], each["display_port"]
            store_observed(guest, found)
        result = {"id": guest.id, "name": guest.name, "state": "succeeded"}
        if found is None or (each["start"] and not guest.running):
            failure = outcome.failure
            reason = reasons.get(guest.id) or (failure.message if failure else "it did not start")
            result |= {"state": end_state(failure) if failure else "failed", "error": reason}
        results.append(result)
    for each in job.parameters["unplaced"]:
        known = {"id": each["id"], "name": each["name"]}
        results.append({**known, "state": "failed", "error": each["reason"]})
    return results


def _found(outcome: Outcome, cell: str, guest_id: str) -> dict[str, Any] | None:
    for guest in outcome.observed.get(cell, {}).get("guests") or ():
        if guest["id"] == guest_id and not guest["incomplete"]:
            return dict(guest)
    return None


def _reasons(outcome: Outcome, task: str) -> dict[str, str]:
    """Guest's id → why it could not be taken over, or started."""
    return {
        str(each["id"]): str(each["error"]["message"])
        for of_cell in outcome.results.get(task, {}).values()
        for each in of_cell.get("results") or ()
        if each.get("error")
    }


def lease_variables(_session: Session, _cloud: Cloud, job: Job) -> RunVariables:
    """The pool, whether the lease is wanted, and what the cell is to forget first."""
    return RunVariables(
        {
            "nano_pool": job.parameters["storage"],
            "nano_lease_state": "granted" if job.parameters["lease"] else "released",
            "nano_lease_seconds": job.parameters["lease_seconds"],
            "nano_elsewhere": job.parameters["elsewhere"],
        }
    )


def apply_lease(
    session: Session, _cloud: Cloud, job: Job, outcome: Outcome
) -> list[dict[str, Any]]:
    """Only a run that went well changes what is known of the lease."""
    if outcome.ok:
        session.get_one(Cell, job.subject_id).lease = job.parameters["lease"]
    return result_of(job, outcome)


CELL_FAILOVER = Operation(
    name="cell_failover",
    playbook=_FAILOVER,
    settle=_READ,
    resume="rerun",
    variables=failover_variables,
    apply=apply_failover,
)

CELL_LEASE = Operation(
    name="cell_lease",
    playbook=_LEASE,
    settle=_READ,
    resume="rerun",
    variables=lease_variables,
    apply=apply_lease,
)
