# SPDX-License-Identifier: Apache-2.0
"""Request bodies are JSON whatever their Content-Type says: Nano never looks at it.

The portal renews its session with an empty ``application/x-www-form-urlencoded`` body, and
scripts send JSON with curl's default type. Only files (``multipart/…``) are something else.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

_NAME = b"content-type"


class JsonBodies:
    """ASGI middleware that names every body but a file's JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on with its type corrected."""
        if scope["type"] == "http":
            headers: list[tuple[bytes, bytes]] = scope["headers"]
            found = next((value for name, value in headers if name == _NAME), b"")
            if not found.lower().startswith(b"multipart/"):
                rest = [(name, value) for name, value in headers if name != _NAME]
                # In place: middlewares around this one look for the route in the same mapping.
                scope["headers"] = [*rest, (_NAME, b"application/json")]
        await self._app(scope, receive, send)
