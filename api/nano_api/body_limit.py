# SPDX-License-Identifier: Apache-2.0
"""A request body that is no file may have a few MiB: it is parsed in memory."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nano_api.envelope import error_reply

#: Uploads: streams, with a limit of their own.
_UPLOAD = re.compile(r"/(disk|media)_image(s/[^/]+/file|_files/[^/]+)/?$")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_DONE = {"type": "http.request", "body": b"", "more_body": False}


class BodyLimit:
    """ASGI middleware: refuses what is too large before anything else reads it."""

    def __init__(self, app: ASGIApp, largest_bytes: int) -> None:
        self._app = app
        self._largest_bytes = largest_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body, then hand the request on with it."""
        if scope["type"] != "http" or scope["method"] in _READING or _UPLOAD.search(scope["path"]):
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        body = bytearray()
        more = True
        too_large = announced.isdigit() and int(announced) > self._largest_bytes
        while more and not too_large:
            part = await receive()
            if part["type"] != "http.request":
                return  # the client went away
            body += part.get("body", b"")
            more = part.get("more_body", False)
            too_large = len(body) > self._largest_bytes
        if too_large:
            message = f"the body is larger than {self._largest_bytes} bytes"
            await error_reply("invalid_input", message)(scope, receive, send)
            return
        whole: Message = {**_DONE, "body": bytes(body)}
        given = False

        async def give() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return whole

        await self._app(scope, give, send)
