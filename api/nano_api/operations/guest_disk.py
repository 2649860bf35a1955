# SPDX-License-Identifier: Apache-2.0
"""Rewrite a disk of a stopped guest: compact, or as an image is."""

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

_DISK = Playbook(
    "guest_disk.yml",
    (
        Step("Fetch the image", 45),
        Step("Change the disk", 50),
        Step(READ_BACK, 5, changes=False),
    ),
    READ_BACK,
)


def variables(session: Session, cloud: Cloud, job: Job) -> RunVariables:
    """The guest, the disk's place among its disks, and where its cell gets the image."""
    parameters = job.parameters
    disk = {"position": parameters["position"], "state": parameters["state"]}
    found: dict[str, Any] = {"nano_guest": {"id": job.subject_id}, "nano_disk": disk}
    if not parameters.get("image"):
        return RunVariables(found)
    pool = session.get_one(Guest, job.subject_id).pool
    found["nano_image"], ticket = image_source(session, cloud, parameters["image"], pool)
    return RunVariables(found, (ticket,))


def apply(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """Whatever happened, the guest is ready again, and the row says what is there."""
    guest = session.get_one(Guest, job.subject_id)
    if guest.state == "resetting":
        guest.state = "created"
    found = observed_guest(outcome, guest.id)
    if found is not None:
        store_observed(guest, found)
        image = job.parameters.get("image")
        if image and found["disks"][job.parameters["position"]]["image"] == image:
            guest.image_id = image
    return result_of(job, outcome)


GUEST_DISK = Operation(
    name="guest_disk",
    playbook=_DISK,
    settle=READ,
    resume="rerun",
    variables=variables,
    apply=apply,
)
