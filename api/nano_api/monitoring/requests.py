# SPDX-License-Identifier: Apache-2.0
"""Every request has an id, which stands in all log lines that it causes, and is counted."""

from __future__ import annotations

import re
import time
import uuid

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

HEADER = "X-Request-Id"
#: What a proxy may have given the request; anything else is replaced.
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")
_QUIET = frozenset({"GET", "HEAD", "OPTIONS"})
_BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)


class RequestMetrics:
    """Counts of requests by route, never by path: a path may hold anything."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "route", "status")
        self.count = Counter("nano_http_requests", "Requests answered", labels, registry=registry)
        self.seconds = Histogram(
            "nano_http_request_seconds",
            "Time until the reply began",
            ("method", "route"),
            registry=registry,
            buckets=_BUCKETS,
        )


class RequestTrail:
    """ASGI middleware, the outermost one."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on under its id."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _ACCEPTABLE.fullmatch(given) else str(uuid.uuid4())
        begun = time.monotonic()

        async def send_noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
                self._note(scope, int(message["status"]), time.monotonic() - begun)
            await send(message)

        with structlog.contextvars.bound_contextvars(request=request_id):
            await self._app(scope, receive, send_noting)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = str(scope["method"])
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.count.labels(method, route, status).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
        tell = log.debug if method in _QUIET else log.info
        tell("answered", method=method, route=route, status=status, seconds=round(seconds, 4))
