# SPDX-License-Identifier: Apache-2.0
"""Change a guest's own security policy."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.guests import policies
from nano_api.guests.tables import Guest
from nano_api.jobs.progress import Step
from nano_api.jobs.tables import Job
from nano_api.operations.base import Operation, Outcome, Playbook, RunVariables, result_of
from nano_api.operations.guest_observation import observed_guest, store_observed
from nano_api.operations.guest_playbooks import READ, READ_BACK

_POLICY = Playbook(
    "guest_policy.yml",
    (
        Step("Apply the security policy", 60),
        Step("Give it to the guest", 30),
        Step(READ_BACK, 10, changes=False),
    ),
    READ_BACK,
)


def variables(_session: Session, _cloud: Cloud, job: Job) -> RunVariables:
    """The guest and the policy as it shall be."""
    policy = policies.module_options(job.subject_id, job.parameters["policy"])
    return RunVariables({"nano_guest": {"id": job.subject_id}, "nano_policy": policy})


def apply(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """The row has the new policy once it is in force."""
    guest = session.get_one(Guest, job.subject_id)
    found = observed_guest(outcome, guest.id)
    if found is not None:
        store_observed(guest, found)
    if outcome.ok and found is not None and found["security_policy"] == guest.id:
        guest.policy = job.parameters["policy"]
    return result_of(job, outcome)


GUEST_POLICY = Operation(
    name="guest_policy",
    playbook=_POLICY,
    settle=READ,
    resume="rerun",
    variables=variables,
    apply=apply,
)
