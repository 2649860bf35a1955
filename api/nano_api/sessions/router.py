# SPDX-License-Identifier: Apache-2.0
"""``/sessions/``: log in, stay logged in, see who is."""

from __future__ import annotations

from typing import Annotated, Any

import structlog
from fastapi import Body, Request, Response

from nano_api import API_PREFIX
from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.errors import Unauthenticated
from nano_api.sessions import service, throttling
from nano_api.sessions.address import client_address
from nano_api.sessions.dependency import DOWNLOAD_COOKIE, CurrentSession
from nano_api.sessions.schemas import Login, LoginBody, SessionDetail
from nano_api.users import service as users
from nano_api.users.passwords import password_matches

log = structlog.get_logger(__name__)

router = NanoRouter(tags=["sessions"])


@router.post(
    "/sessions/", response_model=Envelope[Login], response_model_exclude_none=True, summary="Log in"
)
def open_session(
    request: Request,
    response: Response,
    cloud: CurrentCloud,
    body: Annotated[LoginBody, Body(default_factory=LoginBody)],
) -> Any:
    """Check name and password and open a session. Needs no session."""
    address = client_address(request, cloud.settings)
    with cloud.database.reading() as session:
        throttling.check(session, account=body.user, address=address)
        stored_hash = users.password_hash_of(session, body.user)
    matches = password_matches(stored_hash, body.password)
    with cloud.database.transaction() as session:
        throttling.record(session, account=body.user, address=address, succeeded=matches)
    if not matches:
        log.warning("failed login", address=address)
        raise Unauthenticated("invalid user or password")
    lifetime = cloud.settings.session_timeout_seconds
    with cloud.database.transaction() as session:
        session_id, info = service.open_session(
            session, body.user, address=address, nonce=body.nonce, lifetime_seconds=lifetime
        )
    request.state.caller = info  # for the operation log
    response.set_cookie(
        DOWNLOAD_COOKIE,
        session_id,
        path=API_PREFIX,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return reply(
        Login(
            session=session_id,
            group=info.group,
            timeout=lifetime,
            menu=list(info.menu),
            address=info.address or None,
        )
    )


@router.put("/sessions/{session_id}", response_model=Envelope[str], summary="Keep a session alive")
def renew_session(session_id: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """The only call that renews a session. A body is not read."""
    with cloud.database.transaction() as session:
        service.renew(session, session_id, cloud.settings.session_timeout_seconds)
    return reply()


@router.get("/sessions/", response_model=Envelope[list[str]], summary="List the live sessions")
def list_sessions(cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """Handles of the live sessions: they name a session here, but cannot be used as one."""
    with cloud.database.reading() as session:
        return reply(service.handles(session))


@router.get(
    "/sessions/{session_id}",
    response_model=Envelope[SessionDetail],
    response_model_exclude_none=True,
    summary="Get a session",
)
def get_session(session_id: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """Whose session it is, by its id or its handle."""
    with cloud.database.reading() as session:
        info = service.describe(session, session_id)
    return reply(
        SessionDetail(
            user=info.user,
            group=info.group,
            timeout=cloud.settings.session_timeout_seconds,
            menu=list(info.menu),
            address=info.address or None,
        )
    )
