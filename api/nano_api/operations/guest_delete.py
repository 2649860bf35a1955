# SPDX-License-Identifier: Apache-2.0
"""Delete a guest with its volumes."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from nano_api.address_pools import service as address_pools
from nano_api.cloud import Cloud
from nano_api.guests import addresses
from nano_api.guests.tables import Guest
from nano_api.jobs.tables import Job
from nano_api.operations.base import Operation, Outcome, RunVariables, result_of
from nano_api.operations.guest_observation import observed_guest, store_observed
from nano_api.operations.guest_playbooks import DELETE


def variables(session: Session, _cloud: Cloud, job: Job) -> RunVariables:
    """Which guest, whether a running one is stopped first, and the policy that goes with it."""
    found: dict[str, Any] = {
        "nano_guest": {"id": job.subject_id},
        "nano_force": bool(job.parameters.get("force", False)),
    }
    guest = session.get_one(Guest, job.subject_id)
    if guest.policy:
        found["nano_policy"] = {"name": guest.id}
    lease = addresses.lease_to_remove(guest)
    if lease is not None:
        found["nano_leases"] = [lease]
    return RunVariables(found)


def apply(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """The row goes when the cell has nothing left; else the guest is as it was found."""
    guest = session.get_one(Guest, job.subject_id)
    found = observed_guest(outcome, guest.id)
    if outcome.ok and found is None:
        address_pools.release(session, guest.id)
        session.delete(guest)
        return result_of(job, outcome)
    guest.state = "created"
    if found is not None:
        store_observed(guest, found)
    return result_of(job, outcome)


GUEST_DELETE = Operation(
    name="guest_delete",
    playbook=DELETE,
    settle=DELETE,  # half a deletion can only be finished
    resume="rerun",
    variables=variables,
    apply=apply,
)
