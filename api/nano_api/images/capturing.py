# SPDX-License-Identifier: Apache-2.0
"""Images that are made of guests: checked here, made by a job."""

from __future__ import annotations

from sqlalchemy.orm import Session

from nano_api.errors import InvalidInput
from nano_api.guests import changes
from nano_api.guests import service as guests
from nano_api.images.tables import Image
from nano_api.jobs.service import Requester
from nano_api.jobs.tables import Job


def capture(session: Session, image: Image, guest_id: str, requester: Requester) -> Job:
    """Submit the job that makes a new image of a stopped guest's system disk.

    :raises InvalidInput: it is no disk image
    :raises NotFound: there is no such guest
    :raises Conflict: it runs
    """
    if image.kind != "disk":
        raise InvalidInput("only disk images are built from guests", field="guest")
    guest = changes.ready(session, guest_id)
    changes.check_stopped(guest)
    job = guests.submit(session, "image_capture", guest, requester, {"image": image.id})
    image.job_id = job.id
    return job


def percent_of(session: Session, image: Image) -> int | None:
    """How far the job is that makes an image; None: no job does, or no longer."""
    job = session.get(Job, image.job_id) if image.job_id else None
    return None if job is None or job.ended else job.percent or 0
