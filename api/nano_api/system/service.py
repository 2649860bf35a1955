# SPDX-License-Identifier: Apache-2.0
"""The first run: a system without users gets its administrator."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from nano_api.errors import Conflict
from nano_api.users import service as users

DEFAULT_GROUP = "admin"
DEFAULT_ROLE = "super"
DEFAULT_DISPLAY = "Adminitrators of Nano Portal"  # spelled as in Nano


def check_uninitialised(session: Session) -> None:
    """:raises Conflict: there is a user already"""
    if users.any_user(session):
        raise Conflict("system already initialed")


def initialise(
    session: Session,
    *,
    user: str,
    password_hash: str,
    menu: Sequence[str],
    group: str = "",
    display: str = "",
    role: str = "",
) -> None:
    """Make the first role, group and user, and put the user into the group.

    :raises Conflict: there is a user already
    :raises InvalidInput: a name, a menu or the text breaks its rule
    """
    check_uninitialised(session)
    role = role or DEFAULT_ROLE
    group = group or DEFAULT_GROUP
    users.create_role(session, role, menu)
    users.create_group(session, group, display or DEFAULT_DISPLAY, [role])
    users.create_user(session, user, password_hash)
    users.join_group(session, user, group)
