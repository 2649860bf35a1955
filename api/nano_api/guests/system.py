# SPDX-License-Identifier: Apache-2.0
"""A guest's disks and its administrator's account: checked here, changed by jobs."""

from __future__ import annotations

import secrets
import string

from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.errors import Conflict, InvalidInput
from nano_api.guests import changes, service
from nano_api.guests.tables import Guest
from nano_api.images import service as images
from nano_api.jobs.service import Requester
from nano_api.jobs.tables import Job

from ansible_collections.nano.cloud.plugins.module_utils.guest_auth_spec import (  # isort: skip
    check_password,
    check_user,
)

_PASSWORD_LENGTH = 10


def shrink_disk(session: Session, guest_id: str, index: int, requester: Requester) -> Job:
    """Submit the job that rewrites a stopped guest's disk without what is zero in it.

    :raises Conflict: it runs
    """
    guest = changes.ready(session, guest_id)
    changes.check_disk_index(guest, index)
    changes.check_stopped(guest)
    parameters = {"position": index, "state": "compacted"}
    return service.submit(session, "guest_disk", guest, requester, parameters)


def reset(session: Session, guest_id: str, image_id: str, requester: Requester) -> Job:
    """Submit the job that makes a stopped guest's system disk what an image is.

    :raises NotFound: there is no such guest or image
    :raises InvalidInput: the image is larger than the disk
    :raises Conflict: it runs, or its snapshots have states of the disk
    """
    guest = changes.ready(session, guest_id)
    if not image_id:
        raise InvalidInput("from_image required", field="from_image")
    image = images.get_ready_image(session, "disk", image_id)
    changes.check_stopped(guest)
    if guest.snapshots:
        raise Conflict(
            f"instance '{guest.id}' has snapshots of its system disk: delete them first",
            guest=guest.id,
        )
    service.check_image_fits(image, guest.disks[0])
    parameters = {"position": 0, "state": "reset", "image": image.id}
    job = service.submit(session, "guest_disk", guest, requester, parameters)
    guest.state, guest.job_id = "resetting", job.id
    return job


def account(cloud: Cloud, guest: Guest) -> tuple[str | None, str | None]:
    """The administrator's name and password, as far as they are known."""
    sealed = guest.admin_secret_sealed
    return guest.admin_name, cloud.secrets.open(sealed) if sealed else None


def set_password(
    session: Session, cloud: Cloud, guest_id: str, user: str, password: str, requester: Requester
) -> Job:
    """Submit the job that has the agent in a running guest set a password.

    Without ``user`` it is the administrator's, without ``password`` a new one.

    :raises Conflict: it does not run
    """
    guest = changes.ready(session, guest_id)
    user = user or guest.admin_name or ""
    if not user:
        raise InvalidInput("user required: the guest's administrator is not known", field="user")
    sealed = cloud.secrets.seal(check_password(password or new_password()))
    if not guest.running:
        raise Conflict(f"instance '{guest.id}' is stopped: start it first", guest=guest.id)
    parameters = {"user": check_user(user), "password_sealed": sealed}
    return service.submit(session, "guest_auth", guest, requester, parameters)


def new_password() -> str:
    """Ten letters and digits, as Nano makes them."""
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(_PASSWORD_LENGTH))
