# SPDX-License-Identifier: Apache-2.0
"""ETags for what clients poll: a GET whose answer has not changed costs a 304 and no body.

The portal asks for its lists every few seconds; a browser sends the tag back by itself.
"""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LARGEST_BODY_BYTES = 8 << 20


class ConditionalReplies:
    """ASGI middleware for JSON answers to GET. What streams passes through as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, and look at the answer before it goes out."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        wanted = Headers(scope=scope).get("if-none-match", "")
        answer = _Answer(wanted, send)
        await self._app(scope, receive, answer.send)


class _Answer:
    def __init__(self, wanted: str, send: Send) -> None:
        self._wanted = wanted
        self._send = send
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_json(message):
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        start, self._start = self._start, None
        body = message.get("body", b"")
        if not message.get("more_body") and len(body) <= _LARGEST_BODY_BYTES:
            tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
            headers = MutableHeaders(raw=start["headers"])
            headers["etag"] = tag
            headers["cache-control"] = "private, no-cache"
            if tag in (each.strip() for each in self._wanted.split(",")):
                start["status"], message = 304, {**message, "body": b""}
                del headers["content-length"], headers["content-type"]
        await self._send(start)
        await self._send(message)


def _is_json(message: Message) -> bool:
    kind = Headers(raw=message["headers"]).get("content-type", "")
    return message["status"] == 200 and kind.startswith("application/json")
