# SPDX-License-Identifier: Apache-2.0
"""What is in a guest's CD drive: checked here, changed by a job."""

from __future__ import annotations

from sqlalchemy.orm import Session

from nano_api.errors import Conflict, InvalidInput
from nano_api.guests import changes, service
from nano_api.images import service as images
from nano_api.jobs.service import Requester
from nano_api.jobs.tables import Job


def insert(session: Session, guest_id: str, image_id: str, requester: Requester) -> Job:
    """Submit the job that inserts a media image into a running guest's drive.

    :raises NotFound: there is no such guest or media image
    :raises Conflict: the guest is stopped, or has a medium already
    """
    guest = changes.ready(session, guest_id)
    if not image_id:
        raise InvalidInput("source required", field="source")
    image = images.get_ready_image(session, "media", image_id)
    if not guest.running:
        raise Conflict(f"instance '{guest.id}' is stopped: start it first", guest=guest.id)
    if guest.media_id:
        raise Conflict(
            f"media '{guest.media_id}' already attached to instance '{guest.id}': eject it first",
            guest=guest.id,
        )
    return service.submit(session, "guest_media", guest, requester, {"image": image.id})


def eject(session: Session, guest_id: str, requester: Requester) -> Job:
    """Submit the job that empties a guest's drive.

    :raises Conflict: nothing is in it
    """
    guest = changes.ready(session, guest_id)
    if not guest.media_id:
        raise Conflict(f"no media attached to instance '{guest.id}'", guest=guest.id)
    return service.submit(session, "guest_media", guest, requester, {})
