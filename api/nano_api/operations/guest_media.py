# SPDX-License-Identifier: Apache-2.0
"""Insert a medium into a guest's CD drive, or eject it."""

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
from nano_api.operations.guest_variables import image_source

_CHANGE = "Change the medium"
_MEDIA = Playbook(
    "guest_media.yml",
    (Step("Fetch the medium", 70), Step(_CHANGE, 25), Step(READ_BACK, 5, changes=False)),
    READ_BACK,
)


def variables(session: Session, cloud: Cloud, job: Job) -> RunVariables:
    """The guest, and where its cell gets the medium."""
    found: dict[str, Any] = {"nano_guest": {"id": job.subject_id}}
    if not job.parameters.get("image"):
        return RunVariables(found)
    pool = session.get_one(Guest, job.subject_id).pool
    image_id = job.parameters["image"]
    found["nano_image"], ticket = image_source(session, cloud, image_id, pool, "media")
    return RunVariables(found, (ticket,))


def apply(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """The row says what the module left in the drive."""
    guest = session.get_one(Guest, job.subject_id)
    found = observed_guest(outcome, guest.id)
    if found is not None:
        store_observed(guest, found)
    for changed in outcome.results.get(_CHANGE, {}).values():
        if "medium" in changed:
            guest.media_id = changed["medium"]
    return result_of(job, outcome)


GUEST_MEDIA = Operation(
    name="guest_media",
    playbook=_MEDIA,
    settle=READ,
    resume="rerun",
    variables=variables,
    apply=apply,
)
