# SPDX-License-Identifier: Apache-2.0
"""Set a password inside a running guest."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.jobs.progress import Step
from nano_api.jobs.tables import Job
from nano_api.operations.base import Operation, Outcome, Playbook, RunVariables, result_of
from nano_api.operations.guest_observation import observed_guest, store_observed
from nano_api.operations.guest_playbooks import READ, READ_BACK

_AUTH = Playbook(
    "guest_auth.yml",
    (Step("Set the password", 90), Step(READ_BACK, 10, changes=False)),
    READ_BACK,
)


def variables(_session: Session, cloud: Cloud, job: Job) -> RunVariables:
    """The guest, the user and the password, which the job keeps sealed."""
    password = cloud.secrets.open(job.parameters["password_sealed"])
    account = {"user": job.parameters["user"], "password": password}
    return RunVariables(
        {"nano_guest": {"id": job.subject_id}, "nano_account": account}, (password,)
    )


def apply(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """What was set is what the row tells from now on."""
    guest = session.get_one(Guest, job.subject_id)
    found = observed_guest(outcome, guest.id)
    if found is not None:
        store_observed(guest, found)
    if outcome.ok:
        guest.admin_name = job.parameters["user"]
        guest.admin_secret_sealed = job.parameters["password_sealed"]
    return result_of(job, outcome)


GUEST_AUTH = Operation(
    name="guest_auth",
    playbook=_AUTH,
    settle=READ,
    resume="rerun",
    variables=variables,
    apply=apply,
)
