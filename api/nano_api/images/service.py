# SPDX-License-Identifier: Apache-2.0
"""Images: their rows. The files are the store's. Nothing here commits."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from nano_api.clock import now
from nano_api.errors import CloudError, Conflict, InvalidInput, JobFailed, NotFound
from nano_api.images.tables import Image, Kind
from nano_api.sessions.service import SessionInfo
from nano_api.users.names import check_account_name
from nano_api.visibility.service import visible_group

from ansible_collections.nano.cloud.plugins.module_utils.names import check_text  # isort: skip

#: How long a cell may use a ticket for an image's file.
TICKET_SECONDS = 24 * 3600

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_MAX_DESCRIPTION_LENGTH = 1024
_MAX_TAGS = 32
_MAX_TAG_LENGTH = 64


def ticket_purpose(image_id: str) -> str:
    """What a ticket for an image's file is sealed for: ``secrets.ticket(ticket_purpose(id))``."""
    return f"image:{image_id}"


def upload_ticket_purpose(image_id: str) -> str:
    """What the ticket is sealed for by which a cell sends the file of an image that it made.

    It is good once: an image that has its file takes no other.
    """
    return f"image-upload:{image_id}"


def create(
    session: Session,
    kind: Kind,
    *,
    name: str,
    owner: str,
    group: str,
    description: str = "",
    tags: Sequence[str] = (),
) -> Image:
    """A new image without a file.

    :raises InvalidInput: a field is missing or breaks its rule
    :raises Conflict: the group has an image of this name
    """
    check_name(name)
    check_account_name(owner, "owner")
    check_account_name(group, "group")
    wanted_tags = _check_tags(tags)
    check_text(description, "description", limit=_MAX_DESCRIPTION_LENGTH)
    _check_unique(session, kind, group, name)
    moment = now()
    image = Image(
        id=str(uuid.uuid4()),
        kind=kind,
        name=name,
        owner=owner,
        group=group,
        description=description,
        tags=wanted_tags,
        created_at=moment,
        modified_at=moment,
    )
    session.add(image)
    session.flush()
    return image


def change(
    session: Session,
    kind: Kind,
    image_id: str,
    *,
    name: str = "",
    owner: str = "",
    group: str = "",
    description: str = "",
    tags: Sequence[str] = (),
) -> None:
    """Change what is given; empty means unchanged.

    :raises NotFound: there is no such image
    :raises InvalidInput: a field breaks its rule
    :raises Conflict: the group has another image of this name
    """
    image = get_image(session, kind, image_id)
    new_name = check_name(name) if name else image.name
    new_group = check_account_name(group, "group") if group else image.group
    if (new_group, new_name) != (image.group, image.name):
        _check_unique(session, kind, new_group, new_name)
    image.name = new_name
    image.group = new_group
    if owner:
        image.owner = check_account_name(owner, "owner")
    if description:
        image.description = check_text(description, "description", limit=_MAX_DESCRIPTION_LENGTH)
    if tags:
        image.tags = _check_tags(tags)
    image.modified_at = now()


def get_image(session: Session, kind: Kind, image_id: str) -> Image:
    """One image, with a file or without.

    :raises NotFound: there is no such image of this kind
    """
    image = session.get(Image, image_id)
    if image is None or image.kind != kind:
        raise NotFound(f"invalid image '{image_id[:80]}'", image=image_id[:80])
    return image


def get_ready_image(session: Session, kind: Kind, image_id: str) -> Image:
    """One image whose file is there.

    :raises NotFound: there is no such image
    :raises Conflict: it has no file yet
    """
    image = get_image(session, kind, image_id)
    if not image.created:
        raise Conflict(f"image '{image.name}' has no file yet; upload one first", image=image_id)
    return image


def visible_groups(session: Session, kind: Kind, caller: SessionInfo) -> Collection[str]:
    """The groups whose images the caller sees besides its own: see ``visibility``."""
    group = visible_group(session, caller, "disk_image" if kind == "disk" else "media_image")
    return () if group is None else (group,)


def search(
    session: Session,
    kind: Kind,
    *,
    user: str,
    groups: Collection[str],
    tags: Collection[str] = (),
) -> list[Image]:
    """The images that a user owns or that belong to ``groups``, by group and name.

    With ``tags`` only those that have one of them at least.
    """
    rows = session.scalars(
        select(Image)
        .where(Image.kind == kind, or_(Image.owner == user, Image.group.in_(groups)))
        .order_by(Image.group, Image.name)
    )
    wanted = set(tags)
    return [image for image in rows if not wanted or wanted.intersection(image.tags)]


def delete(
    session: Session, kind: Kind, image_id: str, *, in_use: Callable[[Session, str], Sequence[str]]
) -> None:
    """Delete the row; the caller removes the files once this is committed.

    :param in_use: names of the guests that are just being created from an image
    :raises NotFound: there is no such image
    :raises Conflict: a guest is being created from it
    """
    image = get_image(session, kind, image_id)
    guests = in_use(session, image_id)
    if guests:
        raise Conflict(
            f"image '{image.name}' is in use: guest '{guests[0]}' is being created from it;"
            " delete the image when the guest is ready",
            image=image_id,
        )
    session.delete(image)
    session.flush()


def take_failure(session: Session, image_id: str) -> CloudError | None:
    """Why an image of a guest could not be made. Told once: it does not exist afterwards."""
    image = session.get(Image, image_id)
    if image is None or image.error_message is None:
        return None
    session.delete(image)
    return JobFailed(image.error_code or "internal", image.error_message)


def begin_upload(
    session: Session, kind: Kind, image_id: str, expected_bytes: int, *, by_cell: bool = False
) -> None:
    """An upload begins; ``expected_bytes`` is the size of the whole body, 0 when unknown.

    :raises NotFound: there is no such image
    :raises Conflict: it has a file already
    """
    image = get_image(session, kind, image_id)
    _check_has_no_file(image)
    if image.job_id and not by_cell:
        raise Conflict(
            f"image '{image.name}' is being made of a guest's disk; make another one to upload to",
            image=image.id,
        )
    image.expected_bytes = expected_bytes


def finish_upload(
    session: Session,
    kind: Kind,
    image_id: str,
    *,
    image_format: str,
    size_bytes: int,
    virtual_size_bytes: int,
    sha1: str,
    sha256: str,
) -> None:
    """The file is whole and was inspected; it gets its final name in this same transaction.

    :raises NotFound: the image was deleted meanwhile
    :raises Conflict: it has a file already
    """
    image = get_image(session, kind, image_id)
    _check_has_no_file(image)
    image.created = True
    image.format = image_format
    image.size_bytes = size_bytes
    image.virtual_size_bytes = virtual_size_bytes
    image.sha1 = sha1
    image.sha256 = sha256
    image.modified_at = now()
    session.flush()


def has_file(session: Session, image_id: str, image_format: str) -> bool:
    """Whether a row says that this file is an image's."""
    image = session.get(Image, image_id)
    return image is not None and image.created and image.format == image_format


def progress_of(image: Image, received_bytes: int, job_percent: int | None) -> int:
    """Percent of the file that is there, or of the job that makes it; 100: it is ready."""
    if job_percent is not None:
        return min(99, job_percent)
    if image.created:
        return 100
    if not image.expected_bytes:
        return 0
    return min(99, received_bytes * 100 // image.expected_bytes)


def check_name(name: str) -> str:
    """An image's name.

    :raises InvalidInput: it is missing or breaks the rule
    """
    if not name:
        raise InvalidInput("name required", field="name")
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"invalid name '{name[:140]}': use 1 to 128 letters, digits, '_', '.' and '-'",
            field="name",
        )
    return name


def _check_has_no_file(image: Image) -> None:
    if image.created:
        raise Conflict(
            f"image '{image.name}' has its file already; make a new image for another file",
            image=image.id,
        )


def _check_unique(session: Session, kind: Kind, group: str, name: str) -> None:
    same = select(Image).where(Image.kind == kind, Image.group == group, Image.name == name)
    taken = session.scalar(same)
    if taken is not None and taken.error_message is not None:
        session.delete(taken)  # nobody asked for the reason, and the name is wanted again
        session.flush()
    elif taken is not None:
        raise Conflict(f"image '{name}' already exists in group '{group}'", field="name")


def _check_tags(tags: Sequence[str]) -> list[str]:
    unique = list(dict.fromkeys(tags))
    if len(unique) > _MAX_TAGS:
        raise InvalidInput(f"more than {_MAX_TAGS} tags", field="tags")
    for tag in unique:
        if not tag.strip():
            raise InvalidInput("invalid tag '': a tag has at least one letter", field="tags")
        check_text(tag, "tags", limit=_MAX_TAG_LENGTH)
    return unique
