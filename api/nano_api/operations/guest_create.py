# SPDX-License-Identifier: Apache-2.0
"""Create a guest on the cell that the scheduler picked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from nano_api.address_pools import service as address_pools
from nano_api.cloud import Cloud
from nano_api.guests import addresses, policies
from nano_api.guests.tables import Guest
from nano_api.jobs.progress import Failure
from nano_api.jobs.tables import Job
from nano_api.operations.base import Operation, Outcome, RunVariables, result_of
from nano_api.operations.guest_observation import observed_guest, store_observed
from nano_api.operations.guest_playbooks import CREATE, DELETE
from nano_api.operations.guest_variables import guest_specification, image_source


def variables(session: Session, cloud: Cloud, job: Job) -> RunVariables:
    """The guest's specification and, when it has one, where the cell gets its image."""
    guest = session.get_one(Guest, job.subject_id)
    specification, secrets = guest_specification(session, cloud, guest)
    found: dict[str, Any] = {
        "nano_guest": specification,
        "nano_start": guest.auto_start,
        "nano_force": True,  # settling removes the guest even if it runs already
    }
    if guest.policy:
        found["nano_policy"] = policies.module_options(guest.id, guest.policy)
    lease = addresses.lease_of(session, guest)
    if lease is not None:
        found["nano_leases"] = [lease]
    if guest.image_id:
        found["nano_image"], ticket = image_source(session, cloud, guest.image_id, guest.pool)
        secrets.append(ticket)
    return RunVariables(found, tuple(secrets))


def apply(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """The guest is there, or it is gone and its next GET says why."""
    guest = session.get_one(Guest, job.subject_id)
    error = conclude_creation(session, guest, observed_guest(outcome, guest.id), outcome.failure)
    result = result_of(job, outcome)[0]
    return [{**result, "state": "failed", "error": error} if error else result]


def conclude_creation(
    session: Session, guest: Guest, found: Mapping[str, Any] | None, failure: Failure | None
) -> str | None:
    """The row of a guest that is there, or of one that is not; why it is not, None if it is."""
    if failure is None and found is not None:
        guest.state = "created"
        store_observed(guest, found)
        return None
    failure = failure or Failure(
        "internal", f"guest '{guest.name}' is not on cell '{guest.cell}' after its making"
    )
    guest.state, guest.running = "failed", False
    guest.error_code, guest.error_message = failure.code, failure.message
    address_pools.release(session, guest.id)
    return failure.message


GUEST_CREATE = Operation(
    name="guest_create",
    playbook=CREATE,
    settle=DELETE,
    resume="rerun",
    variables=variables,
    apply=apply,
)
