# SPDX-License-Identifier: Apache-2.0
"""Make an image of a guest's system disk: on its cell, and from there into the server's store."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from nano_api import API_PREFIX
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.images.service import upload_ticket_purpose
from nano_api.images.tables import Image
from nano_api.jobs.progress import Step
from nano_api.jobs.tables import Job
from nano_api.operations.base import Operation, Outcome, Playbook, RunVariables, result_of
from nano_api.operations.guest_observation import observed_guest, store_observed
from nano_api.operations.guest_playbooks import READ_BACK

_CAPTURE = Playbook(
    "image_capture.yml",
    (
        Step("Make the image", 55),
        Step("Send the image", 40),
        Step(READ_BACK, 5, changes=False),
    ),
    READ_BACK,
)
_DISCARD = Playbook(
    "image_discard.yml",
    (Step("Remove the image", 90), Step(READ_BACK, 10, changes=False)),
    READ_BACK,
)


def variables(_session: Session, cloud: Cloud, job: Job) -> RunVariables:
    """The guest, and where its cell sends the image."""
    image_id = job.parameters["image"]
    ticket = cloud.secrets.ticket(upload_ticket_purpose(image_id))
    image = {
        "id": image_id,
        "path": f"{API_PREFIX}/disk_images/{image_id}/file/",
        "bearer_token": ticket,
        "compress": True,
    }
    return RunVariables({"nano_guest": {"id": job.subject_id}, "nano_image": image}, (ticket,))


def apply(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """The image is there, or its next GET says why it is not."""
    guest = session.get(Guest, job.subject_id)
    found = observed_guest(outcome, job.subject_id)
    if guest is not None and found is not None:
        store_observed(guest, found)
    image = session.get(Image, job.parameters["image"])
    if image is not None and not image.created:
        failure = outcome.failure
        image.error_code = failure.code if failure else "internal"
        image.error_message = failure.message if failure else "the image did not arrive"
    return result_of(job, outcome)


IMAGE_CAPTURE = Operation(
    name="image_capture",
    playbook=_CAPTURE,
    settle=_DISCARD,
    resume="rerun",
    variables=variables,
    apply=apply,
)
