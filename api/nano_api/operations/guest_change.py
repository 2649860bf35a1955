# SPDX-License-Identifier: Apache-2.0
"""Change a guest in place: cores, memory, disks, name, auto start, the display's password."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.jobs.tables import Job
from nano_api.operations.base import Operation, Outcome, RunVariables, result_of
from nano_api.operations.guest_observation import observed_guest, store_observed
from nano_api.operations.guest_playbooks import CHANGE, READ


def variables(session: Session, cloud: Cloud, job: Job) -> RunVariables:
    """The guest's id and the options that change.

    ``parameters["changes"]`` has them in clear; a new display password is kept sealed, as
    ``parameters["monitor_secret_sealed"]``.
    """
    wanted: dict[str, Any] = {"id": job.subject_id, **job.parameters["changes"]}
    sealed = job.parameters.get("monitor_secret_sealed")
    secrets: tuple[str, ...] = ()
    if sealed:
        guest = session.get_one(Guest, job.subject_id)
        secrets = (cloud.secrets.open(sealed),)
        wanted["display"] = {"protocol": guest.hardware["control"], "password": secrets[0]}
    return RunVariables({"nano_guest": wanted}, secrets)


def apply(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """Whatever happened, the row says what is there; libvirt never tells a password."""
    guest = session.get_one(Guest, job.subject_id)
    found = observed_guest(outcome, guest.id)
    if found is None:
        return result_of(job, outcome)
    store_observed(guest, found)
    guest.name = str(found["name"])
    if outcome.ok and "monitor_secret_sealed" in job.parameters:
        guest.monitor_secret_sealed = job.parameters["monitor_secret_sealed"]
    return result_of(job, outcome)


GUEST_CHANGE = Operation(
    name="guest_change",
    playbook=CHANGE,
    settle=READ,
    resume="rerun",
    variables=variables,
    apply=apply,
)
