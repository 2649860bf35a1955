# SPDX-License-Identifier: Apache-2.0
"""Log-ins: opened with a password, kept alive by renewal only, gone when their time is over."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from nano_api.clock import now
from nano_api.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from nano_api.sessions.tables import LoginSession
from nano_api.users import service as users
from nano_api.users.tables import Role, UserGroupMember, UserGroupRole

_MAX_NONCE_LENGTH = 256


@dataclass(frozen=True)
class SessionInfo:
    """Who makes a request, and which menus it may use.

    ``address`` is the client's at log-in, "" when unknown. ``token`` is the name of the token
    that stands in for a session, "" without one.
    """

    user: str
    group: str
    menu: tuple[str, ...]
    address: str
    token: str = ""


def open_session(
    session: Session, user: str, *, address: str, nonce: str, lifetime_seconds: int
) -> tuple[str, SessionInfo]:
    """A new session for a user whose password was checked: its id (told once) and what it holds.

    :raises Forbidden: the user is in no group
    :raises InvalidInput: the nonce is longer than any client's
    """
    if len(nonce) > _MAX_NONCE_LENGTH:
        raise InvalidInput(f"nonce is longer than {_MAX_NONCE_LENGTH} characters", field="nonce")
    sweep(session)
    group = users.group_of(session, user)
    if group is None:
        raise Forbidden(f"{user} not belongs to any group", user=user)
    info = SessionInfo(user, group, tuple(users.menus_of(session, group)), address)
    session_id = str(uuid.uuid4())
    session.add(
        LoginSession(
            digest=digest_of(session_id),
            user=user,
            address=address,
            nonce=nonce,
            created_at=now(),
            expires_at=now() + timedelta(seconds=lifetime_seconds),
        )
    )
    session.flush()
    return session_id, info


def renew(session: Session, session_id: str, lifetime_seconds: int) -> None:
    """Let a live session live for its whole time again.

    :raises Unauthenticated: there is no such session, or it is over
    """
    row = session.get(LoginSession, digest_of(session_id))
    if row is None or row.expires_at <= now():
        raise _invalid(session_id)
    row.expires_at = now() + timedelta(seconds=lifetime_seconds)
    sweep(session)


def find(session: Session, session_id: str) -> SessionInfo:
    """Who a live session is, and what its user may do now.

    :raises Unauthenticated: there is no such session, or it is over
    :raises Forbidden: the user is in no group any more
    """
    info = of_digest(session, digest_of(session_id))
    if info is None:
        raise _invalid(session_id)
    if not info.group:
        raise Forbidden(f"{info.user} not belongs to any group", user=info.user)
    return info


def describe(session: Session, id_or_handle: str) -> SessionInfo:
    """A live session by its id, or by the handle that ``handles`` lists.

    :raises NotFound: there is no such session, or it is over
    """
    for digest in (digest_of(id_or_handle), id_or_handle):
        info = of_digest(session, digest)
        if info is not None:
            return info
    raise NotFound(f"invalid session '{id_or_handle[:80]}'")


def of_digest(session: Session, digest: str) -> SessionInfo | None:
    """A session that is not over, in one query: portals ask several times a second.

    Its group is "" when the user is in none.
    """
    rows = session.execute(
        select(LoginSession.user, LoginSession.address, UserGroupMember.group, Role.menu)
        .outerjoin(UserGroupMember, UserGroupMember.user == LoginSession.user)
        .outerjoin(UserGroupRole, UserGroupRole.group == UserGroupMember.group)
        .outerjoin(Role, Role.name == UserGroupRole.role)
        .where(LoginSession.digest == digest, LoginSession.expires_at > now())
        .order_by(Role.name)
    ).all()
    if not rows:
        return None
    user, address, group, _menu = rows[0]
    menu = dict.fromkeys(entry for row in rows for entry in row.menu or ())
    return SessionInfo(user, group or "", tuple(menu), address)


def digest_of(session_id: str) -> str:
    """What is kept of an id."""
    return hashlib.sha256(session_id.encode()).hexdigest()


def end_sessions_of(session: Session, user: str) -> None:
    """End all of a user's sessions at once."""
    session.execute(delete(LoginSession).where(LoginSession.user == user))


def handles(session: Session) -> list[str]:
    """The live sessions, oldest first. A handle names a session, but cannot be used as one."""
    rows = select(LoginSession.digest).where(LoginSession.expires_at > now())
    return list(session.scalars(rows.order_by(LoginSession.created_at, LoginSession.digest)))


def sweep(session: Session) -> None:
    """Forget the sessions whose time is over."""
    session.execute(delete(LoginSession).where(LoginSession.expires_at <= now()))


def _invalid(session_id: str) -> Unauthenticated:
    return Unauthenticated(f"invalid session '{session_id[:80]}'")
