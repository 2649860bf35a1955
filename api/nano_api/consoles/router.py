# SPDX-License-Identifier: Apache-2.0
"""``/monitor_channels/``: a guest's display in the browser."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

import structlog
from fastapi import Body, WebSocket
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud, CurrentCloud
from nano_api.consoles import service
from nano_api.consoles.pipe import pipe
from nano_api.envelope import Envelope, NanoRouter, WireModel, error_reply, reply
from nano_api.errors import CloudError, Forbidden
from nano_api.sessions.dependency import CurrentSession

log = structlog.get_logger(__name__)

router = NanoRouter(tags=["consoles"])

#: The subprotocol that noVNC offers.
_SUBPROTOCOL = "binary"


class ChannelIn(WireModel):
    """Whose display."""

    guest: str = ""


class ChannelOut(BaseModel):
    """Connect a websocket to ``/monitor_channels/{id}`` within 15 seconds; it works once."""

    id: str
    protocol: str
    username: str
    password: str


@router.post("/monitor_channels/", response_model=Envelope[ChannelOut])
def open_channel(
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: Annotated[ChannelIn, Body(default_factory=ChannelIn)],
) -> Any:
    """Open a channel to the display of a running guest."""
    with cloud.database.transaction() as session:
        channel, guest = service.open_channel(session, body.guest)
        protocol, sealed = str(guest.hardware["control"]), guest.monitor_secret_sealed
    password = cloud.secrets.open(sealed)
    return reply(ChannelOut(id=channel.id, protocol=protocol, username="", password=password))


@router.websocket("/monitor_channels/{id}")
async def connect_channel(socket: WebSocket, id: str) -> None:  # noqa: A002
    """The channel's websocket: raw RFB in binary frames, both ways."""
    cloud: Cloud = socket.app.state.cloud
    try:
        _check_origin(socket)
        cell, port = await run_in_threadpool(_take, cloud, id)
    except CloudError as error:
        await socket.send_denial_response(error_reply(error.code, error.message))
        return
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=_SUBPROTOCOL if _SUBPROTOCOL in offered else None)
    log.info("console opened", cell=cell.name, port=port)
    try:
        await pipe(socket, cell, port)
    except OSError as error:
        log.warning("console failed", cell=cell.name, port=port, reason=str(error))
        await socket.close(code=1011, reason="the display cannot be reached")


def _check_origin(socket: WebSocket) -> None:
    """A page of another site must not use a browser that is logged in here."""
    origin = socket.headers.get("origin")
    if origin and urlsplit(origin).netloc != socket.headers.get("host", ""):
        raise Forbidden(f"a page of '{origin[:200]}' may not open consoles of this system")


def _take(cloud: Cloud, channel_id: str) -> tuple[Cell, int]:
    with cloud.database.transaction() as session:
        return service.take_channel(session, channel_id)
