# SPDX-License-Identifier: Apache-2.0
"""Create, delete, stop many guests: one run, and what became of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from nano_api.address_pools import service as address_pools
from nano_api.cloud import Cloud
from nano_api.guests import addresses
from nano_api.guests.tables import Guest
from nano_api.jobs.progress import Failure, Step
from nano_api.jobs.tables import Job
from nano_api.operations.base import Operation, Outcome, Playbook, RunVariables, end_state
from nano_api.operations.guest_create import conclude_creation
from nano_api.operations.guest_observation import observed_guest, store_observed
from nano_api.operations.guest_variables import guest_specification, image_source

_READ_BACK = "Read the guests back"
_MAKE, _REMOVE, _SET = "Make the guests", "Remove the guests", "Set the power state"
_READ_STEP = Step(_READ_BACK, 5, changes=False)

_READ = Playbook("guests_read.yml", (Step(_READ_BACK, 100, changes=False),), _READ_BACK)
_CREATE = Playbook(
    "guests_create.yml",
    (
        Step("Check the cell", 5, changes=False),
        Step("Fetch the images", 40),
        Step(_MAKE, 35),
        Step("Start the guests", 15),
        _READ_STEP,
    ),
    _READ_BACK,
)
_DELETE = Playbook("guests_delete.yml", (Step(_REMOVE, 95), _READ_STEP), _READ_BACK)
_POWER = Playbook("guests_power.yml", (Step(_SET, 95), _READ_STEP), _READ_BACK)


def create_variables(session: Session, cloud: Cloud, job: Job) -> RunVariables:
    """Each cell's guests, the images that they need, and which are started at once."""
    specifications: dict[str, list[dict[str, Any]]] = defaultdict(list)
    start: dict[str, list[str]] = defaultdict(list)
    images: set[tuple[str, str]] = set()
    leases: dict[str, dict[str, Any]] = defaultdict(dict)
    secrets: list[str] = []
    for guest in _guests(session, job):
        specification, hidden = guest_specification(session, cloud, guest)
        specifications[guest.cell].append(specification)
        secrets += hidden
        lease = addresses.lease_of(session, guest)
        if lease is not None:
            leases[guest.cell][guest.id] = lease
        if guest.auto_start:
            start[guest.cell].append(guest.id)
        if guest.image_id:
            images.add((guest.image_id, guest.pool))
    sources = []
    for image_id, pool in sorted(images):
        source, ticket = image_source(session, cloud, image_id, pool)
        sources.append(source)
        secrets.append(ticket)
    variables = {
        "nano_guests": dict(specifications),
        "nano_images": sources,
        "nano_start": dict(start),
        "nano_leases": dict(leases),
        "nano_force": True,  # settling removes those that run already too
        "nano_fail_at_end": False,
    }
    return RunVariables(variables, tuple(secrets))


def variables(session: Session, cloud: Cloud, job: Job) -> RunVariables:
    """Each cell's guests, how hard to try, and the policies and leases that go with them."""
    policies: dict[str, list[str]] = defaultdict(list)
    leases: dict[str, dict[str, Any]] = defaultdict(dict)
    for guest in _guests(session, job):
        lease = addresses.lease_to_remove(guest)
        if lease is not None:
            leases[guest.cell][guest.id] = lease
        if guest.policy:
            policies[guest.cell].append(guest.id)
    by_cell: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in job.parameters["guests"]:
        by_cell[each["cell"]].append({"id": each["id"]})
    return RunVariables(
        {
            "nano_guests": dict(by_cell),
            "nano_power_state": "stopped",
            "nano_force": bool(job.parameters.get("force", False)),
            "nano_policies": dict(policies),
            "nano_leases": dict(leases),
            "nano_timeout_seconds": cloud.settings.stop_timeout_seconds,
            "nano_fail_at_end": False,
        }
    )


def apply_creation(
    session: Session, _cloud: Cloud, job: Job, outcome: Outcome
) -> list[dict[str, Any]]:
    """Each guest is there, or it is gone and its next GET says why."""
    failures = _failures(outcome, _MAKE)
    results = []
    for guest in _guests(session, job):
        failure = failures.get(guest.id) or outcome.failure
        error = conclude_creation(session, guest, observed_guest(outcome, guest.id), failure)
        results.append(_result(guest, error, outcome.failure))
    return results


def apply_deletion(
    session: Session, _cloud: Cloud, job: Job, outcome: Outcome
) -> list[dict[str, Any]]:
    """The rows of guests that are gone go; the others are as they were found."""
    failures = _failures(outcome, _REMOVE)
    results = []
    for guest in _guests(session, job):
        found = observed_guest(outcome, guest.id)
        if found is None and guest.cell in outcome.observed:
            results.append(_result(guest, None, None))
            address_pools.release(session, guest.id)
            session.delete(guest)
            continue
        guest.state = "created"
        if found is not None:
            store_observed(guest, found)
        results.append(_result(guest, _reason(failures.get(guest.id), outcome), outcome.failure))
    return results


def apply_stop(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """Whatever happened, the rows say what is there."""
    failures = _failures(outcome, _SET)
    results = []
    for guest in _guests(session, job):
        found = observed_guest(outcome, guest.id)
        if found is not None:
            store_observed(guest, found)
        error = _reason(failures.get(guest.id), outcome) if guest.running else None
        results.append(_result(guest, error, outcome.failure))
    return results


def _guests(session: Session, job: Job) -> list[Guest]:
    found = (session.get(Guest, each["id"]) for each in job.parameters["guests"])
    return [guest for guest in found if guest is not None]


def _failures(outcome: Outcome, task: str) -> dict[str, Failure]:
    """Guest's id → why it failed, from what the module returned."""
    found = {}
    for of_cell in outcome.results.get(task, {}).values():
        for each in of_cell.get("results") or ():
            error: Mapping[str, Any] | None = each.get("error")
            if error:
                found[str(each["id"])] = Failure(str(error["code"]), str(error["message"]))
    return found


def _reason(failure: Failure | None, outcome: Outcome) -> str:
    known = failure or outcome.failure
    return known.message if known else "it was not done, for no reason that is known"


def _result(guest: Guest, error: str | None, of_run: Failure | None) -> dict[str, Any]:
    result = {"id": guest.id, "name": guest.name, "state": "succeeded"}
    if error is None:
        return result
    state = end_state(of_run) if of_run else "failed"
    return {**result, "state": state, "error": error}


GUESTS_CREATE = Operation(
    name="guests_create",
    playbook=_CREATE,
    settle=_DELETE,
    resume="rerun",
    variables=create_variables,
    apply=apply_creation,
)

GUESTS_DELETE = Operation(
    name="guests_delete",
    playbook=_DELETE,
    settle=_DELETE,
    resume="rerun",
    variables=variables,
    apply=apply_deletion,
)

GUESTS_STOP = Operation(
    name="guests_stop",
    playbook=_POWER,
    settle=_READ,
    resume="rerun",
    variables=variables,
    apply=apply_stop,
)
