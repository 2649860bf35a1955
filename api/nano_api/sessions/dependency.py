# SPDX-License-Identifier: Apache-2.0
"""What a route asks for to know who calls: ``caller: CurrentSession``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Security
from fastapi.requests import HTTPConnection
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.errors import Unauthenticated
from nano_api.sessions import service
from nano_api.sessions.address import client_address
from nano_api.sessions.service import SessionInfo
from nano_api.tokens import service as tokens

__all__ = [
    "DOWNLOAD_COOKIE",
    "CurrentSession",
    "SessionInfo",
    "accept_cookie",
    "credential_of",
    "digest_of_credential",
    "identify",
    "identify_digest",
    "is_ticket",
]

#: Set at login. A page cannot read it, another site cannot send it, and it opens downloads only.
DOWNLOAD_COOKIE = "nano-download"

_session_header = APIKeyHeader(
    name="Nano-Session",
    scheme_name="Nano-Session",
    description="The id that logging in gave, or a token. A session lives 180 s; only "
    "PUT /sessions/{id} renews it.",
    auto_error=False,
)
_token_header = HTTPBearer(scheme_name="token", description="A token of /tokens/", auto_error=False)


def credential_of(connection: HTTPConnection) -> str:
    """A session's id or a token: from ``Nano-Session``, else from ``Authorization``; "" if none.

    Where ``accept_cookie`` was called, from the cookie of the login at last.
    """
    named = connection.headers.get("nano-session") or _bearer_of(connection)
    if not named and getattr(connection.state, "cookie_counts", False):
        return connection.cookies.get(DOWNLOAD_COOKIE, "")
    return named


def accept_cookie(connection: HTTPConnection) -> None:
    """Let the cookie name the session in this request: browsers download without our header."""
    connection.state.cookie_counts = True


def is_ticket(connection: HTTPConnection) -> bool:
    """Whether the request brings a bearer that is no token: a ticket for an image's file."""
    bearer = _bearer_of(connection)
    return bool(bearer) and not tokens.is_token(bearer)


def identify(cloud: Cloud, connection: HTTPConnection) -> SessionInfo:
    """Who calls; looked up once per request, and noted for the operation log.

    :raises Unauthenticated: nobody, or no session or token that lives
    :raises Forbidden: the user is in no group
    """
    known: SessionInfo | None = getattr(connection.state, "caller", None)
    if known is not None:
        return known
    credential = credential_of(connection)
    if not credential:
        raise Unauthenticated("unauthenticated request")
    with cloud.database.reading() as session:
        if tokens.is_token(credential):
            caller = tokens.find(session, credential)
        else:
            caller = service.find(session, credential)
    if caller.token:
        address = client_address(connection, cloud.settings)
        tokens.note_use(cloud.database, credential, address)
    connection.state.caller = caller
    return caller


def digest_of_credential(connection: HTTPConnection) -> str:
    """What names the caller's session or token where it must be recognised later."""
    return service.digest_of(credential_of(connection))


def identify_digest(session: Session, digest: str) -> SessionInfo | None:
    """Who holds the session or token of this digest; None when it is over."""
    found = service.of_digest(session, digest) or tokens.of_digest(session, digest)
    return found if found and found.group else None


def _bearer_of(connection: HTTPConnection) -> str:
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def _current_session(
    connection: HTTPConnection,
    _session: Annotated[str | None, Security(_session_header)],
    _token: Annotated[HTTPAuthorizationCredentials | None, Security(_token_header)],
) -> SessionInfo:
    cloud: Cloud = connection.app.state.cloud
    return identify(cloud, connection)


CurrentSession = Annotated[SessionInfo, Depends(_current_session)]
