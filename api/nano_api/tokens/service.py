# SPDX-License-Identifier: Apache-2.0
"""Tokens: made, listed, revoked, and recognised. Nothing but ``note_use`` commits."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nano_api.clock import now
from nano_api.database import Database
from nano_api.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from nano_api.sessions.service import SessionInfo
from nano_api.tokens.tables import ApiToken
from nano_api.users import service as users
from nano_api.users.names import check_account_name, check_menu

#: How a token begins: no session's id and no image's ticket does.
PREFIX = "nano_"
_RANDOM_BYTES = 32
_MOST_PER_USER = 100
_MOST_DAYS = 3650
#: A use is written down once in so long, not for every request.
_NOTE_EVERY = timedelta(minutes=1)


def is_token(credential: str) -> bool:
    """Whether a credential claims to be a token."""
    return credential.startswith(PREFIX)


def create(
    session: Session, caller: SessionInfo, *, name: str, menu: Sequence[str], days: int
) -> tuple[ApiToken, str]:
    """A new token of the caller: its row, and the token itself, which is never told again.

    :param menu: what it may use; some of the caller's menus
    :param days: how long it lives; 0 is until it is revoked
    :raises InvalidInput: the name or a menu breaks its rule, or the days do
    :raises Forbidden: the caller has not got one of the menus
    :raises Conflict: the caller has a token of this name, or too many
    """
    check_account_name(name, "name")
    wanted = check_menu(menu)
    if not 0 <= days <= _MOST_DAYS:
        raise InvalidInput(f"days must be 0 (no end) to {_MOST_DAYS}, not {days}", field="days")
    for entry in wanted:
        if entry not in caller.menu:
            raise Forbidden(f"menu '{entry}' is not yours to give", field="menu")
    own = select(ApiToken).where(ApiToken.user == caller.user)
    if session.scalar(own.where(ApiToken.name == name)):
        raise Conflict(f"token '{name}' already exists", field="name")
    count = session.scalar(select(func.count()).select_from(own.subquery())) or 0
    if count >= _MOST_PER_USER:
        raise Conflict(f"{caller.user} has {_MOST_PER_USER} tokens already; revoke some first")
    token = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    row = ApiToken(
        id=str(uuid.uuid4()),
        digest=_digest(token),
        user=caller.user,
        name=name,
        menu=wanted,
        expires_at=now() + timedelta(days=days) if days else None,
    )
    session.add(row)
    session.flush()
    return row, token


def tokens_of(session: Session, user: str) -> list[ApiToken]:
    """A user's tokens, by name."""
    rows = select(ApiToken).where(ApiToken.user == user).order_by(ApiToken.name)
    return list(session.scalars(rows))


def revoke(session: Session, token_id: str, user: str) -> None:
    """Delete a token of a user; it is worth nothing from now on.

    :raises NotFound: the user has no such token
    """
    row = session.get(ApiToken, token_id)
    if row is None or row.user != user:
        raise NotFound(f"invalid token '{token_id[:80]}'; GET /tokens/ lists yours")
    session.delete(row)
    session.flush()


def find(session: Session, token: str) -> SessionInfo:
    """Whose a token is, and what it may use: of its own menus those that its user has now.

    :raises Unauthenticated: there is no such token, or its time is over
    :raises Forbidden: its user is in no group
    """
    caller = of_digest(session, _digest(token))
    if caller is None:
        raise Unauthenticated("invalid token: unknown, revoked, or its time is over")
    if not caller.group:
        raise Forbidden(f"{caller.user} not belongs to any group", user=caller.user)
    return caller


def of_digest(session: Session, digest: str) -> SessionInfo | None:
    """A token that lives, by its SHA-256. Its group is "" when the user is in none."""
    row = session.scalar(select(ApiToken).where(ApiToken.digest == digest))
    if row is None or (row.expires_at is not None and row.expires_at <= now()):
        return None
    group = users.group_of(session, row.user) or ""
    held = users.menus_of(session, group)
    menu = tuple(entry for entry in row.menu if entry in held)
    return SessionInfo(row.user, group, menu, address="", token=row.name)


def note_use(database: Database, token: str, address: str) -> None:
    """Remember when and from where a token was used last, to the minute. Commits."""
    with database.reading() as session:
        row = _row(session, token)
    if row is None or (row.last_used_at is not None and now() - row.last_used_at < _NOTE_EVERY):
        return
    with database.transaction() as session:
        row = _row(session, token)
        if row is not None:
            row.last_used_at, row.last_used_from = now(), address


def _row(session: Session, token: str) -> ApiToken | None:
    return session.scalar(select(ApiToken).where(ApiToken.digest == _digest(token)))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
