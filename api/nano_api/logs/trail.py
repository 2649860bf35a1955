# SPDX-License-Identifier: Apache-2.0
"""Every change leaves an entry in the operation log: who, from where, what, with which result.

One middleware for all endpoints. It looks at the method, the path and the outcome, never at a
body, a query or a header that a client sent: no secret can get into the log.
"""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nano_api.cloud import Cloud
from nano_api.errors import CloudError
from nano_api.logs import service
from nano_api.sessions.address import client_address
from nano_api.sessions.service import SessionInfo

log = structlog.get_logger(__name__)

_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LOGIN = ("POST", "/sessions/")
#: Requests that change nothing although their method says so, by the beginning of the path.
_NO_CHANGES = (
    ("PUT", "/sessions/"),  # keeps a session alive, every two minutes; its path is a secret
    ("POST", "/search/"),
    ("POST", "/logs/"),  # is an entry itself
)
_LONGEST_PATH = 256
_LONGEST_REASON = 512


class Trail:
    """ASGI middleware. The entry is written before the reply begins: whoever has it sees both."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, and note how it ended."""
        if scope["type"] != "http" or scope["method"] not in _CHANGING:
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})

        async def send_noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._note(scope, _outcome(scope, message))
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except Exception:
            await self._note(scope, "failed (500): internal error")
            raise

    async def _note(self, scope: Scope, outcome: str | None) -> None:
        request = Request(scope)
        path = str(scope["path"]).removeprefix(self._prefix)
        caller: SessionInfo | None = scope["state"].get("caller")
        if outcome is None or _is_no_change(request.method, path):
            return
        if caller is None and not outcome.startswith("done") and not _is_failed_login(scope, path):
            return  # strangers must not be able to fill the log
        cloud: Cloud = scope["app"].state.cloud
        address = client_address(request, cloud.settings)
        route = scope["route"]
        summary = route.summary or route.name.replace("_", " ").capitalize()
        who = _name(caller) if caller else "unknown"
        what = f"{summary} [{request.method} {path[:_LONGEST_PATH]}]"
        content = _printable(f"{who}({address}) : {what}: {outcome}")
        user = caller.user if caller else ""
        try:
            await run_in_threadpool(_write, cloud, content, user, address)
        except (SQLAlchemyError, CloudError) as error:
            # The change has been made: a client that is told of an error would make it again.
            log.error("no entry in the operation log", content=content, exc_info=error)


def _name(caller: SessionInfo) -> str:
    by = f" by token {caller.token}" if caller.token else ""
    return f"{caller.group}.{caller.user}{by}"


def _write(cloud: Cloud, content: str, user: str, address: str) -> None:
    with cloud.database.transaction() as session:
        service.append(session, content, source="server", user=user, address=address)


def _outcome(scope: Scope, start: Message) -> str | None:
    """In words; None for a request that reached no endpoint."""
    route: Any = scope.get("route")
    if scope["method"] not in (getattr(route, "methods", None) or ()):
        return None
    failure: tuple[int, str] | None = scope["state"].get("failure")
    if failure is None:
        job = dict(start["headers"]).get(b"nano-job")
        return f"done, job {job.decode()}" if job else "done"
    code, message = failure
    return f"refused ({code}): {message[:_LONGEST_REASON]}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _is_no_change(method: str, path: str) -> bool:
    return any(method == verb and path.startswith(begin) for verb, begin in _NO_CHANGES)


def _is_failed_login(scope: Scope, path: str) -> bool:
    failure: tuple[int, str] | None = scope["state"].get("failure")
    is_login = (scope["method"], path.rstrip("/") + "/") == _LOGIN
    return is_login and failure is not None and failure[0] in (401, 403)
