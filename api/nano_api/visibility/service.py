# SPDX-License-Identifier: Apache-2.0
"""Who sees what of others in the own group. The one place that knows. Nothing here commits."""

from __future__ import annotations

from typing import Literal

from sqlalchemy.orm import Session

from nano_api.sessions.service import SessionInfo
from nano_api.visibility.tables import ResourceVisibility

Kind = Literal["instance", "disk_image", "media_image"]


def flags_of(session: Session, group: str) -> dict[Kind, bool]:
    """The flags of a group; all off until they are set."""
    row = session.get(ResourceVisibility, group)
    if row is None:
        return {"instance": False, "disk_image": False, "media_image": False}
    return {
        "instance": row.instance,
        "disk_image": row.disk_image,
        "media_image": row.media_image,
    }


def set_flags(
    session: Session, group: str, *, instance: bool, disk_image: bool, media_image: bool
) -> None:
    """Replace all flags of a group."""
    row = session.get(ResourceVisibility, group)
    if row is None:
        row = ResourceVisibility(group=group)
        session.add(row)
    row.instance, row.disk_image, row.media_image = instance, disk_image, media_image
    session.flush()


def visible_group(session: Session, caller: SessionInfo, kind: Kind) -> str | None:
    """The group whose resources the caller sees besides its own: the caller's, or None."""
    return caller.group if flags_of(session, caller.group)[kind] else None
