# SPDX-License-Identifier: Apache-2.0
"""``/monitor_channels/``: a guest's display or serial console in the browser; its serial log."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

import structlog
from fastapi import Body, Request, WebSocket
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud, CurrentCloud
from nano_api.consoles import service
from nano_api.consoles.pipe import Ending, Pipe
from nano_api.consoles.serial_log import read_serial_log
from nano_api.consoles.service import Console
from nano_api.consoles.streams import Doors
from nano_api.envelope import Envelope, NanoRouter, WireModel, error_reply, reply
from nano_api.errors import CloudError, Forbidden
from nano_api.guests import service as guests
from nano_api.sessions.dependency import CurrentSession, digest_of_credential

log = structlog.get_logger(__name__)

router = NanoRouter(tags=["consoles"])

#: The subprotocol that noVNC offers.
_SUBPROTOCOL = "binary"


class ChannelIn(WireModel):
    """Whose console. ``type``: ``display`` (also when missing) or ``serial``.

    A serial console has one user at a time; ``force`` puts the one who has it out.
    """

    guest: str = ""
    type: str = ""
    force: bool = False


class ChannelOut(BaseModel):
    """Connect a websocket to ``/monitor_channels/{id}`` within 15 seconds; it works once."""

    id: str
    protocol: str
    username: str
    password: str


class SerialLogOut(BaseModel):
    """``text``: the last 64 KiB at most. ``cut``: there was more before."""

    text: str
    cut: bool


@router.post("/monitor_channels/", response_model=Envelope[ChannelOut])
def open_channel(
    request: Request,
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: Annotated[ChannelIn, Body(default_factory=ChannelIn)],
) -> Any:
    """Open a channel to the display or the serial console of a running guest."""
    kind = service.channel_type(body.type)
    with cloud.database.transaction() as session:
        channel, guest = service.open_channel(
            session,
            body.guest,
            kind=kind,
            takes_over=body.force,
            opened_by=digest_of_credential(request),
        )
        protocol, sealed = str(guest.hardware["control"]), guest.monitor_secret_sealed
    if kind == "serial":
        return reply(ChannelOut(id=channel.id, protocol="serial", username="", password=""))
    password = cloud.secrets.open(sealed)
    return reply(ChannelOut(id=channel.id, protocol=protocol, username="", password=password))


@router.websocket("/monitor_channels/{id}")
async def connect_channel(socket: WebSocket, id: str) -> None:  # noqa: A002
    """The channel's websocket: raw RFB, or the serial console's bytes, both ways.

    In binary frames to a client that offers the subprotocol ``binary`` and for displays; else in
    frames of text.
    """
    cloud: Cloud = socket.app.state.cloud
    try:
        _check_origin(socket, cloud.settings.cors_origins)
        console = await run_in_threadpool(_take, cloud, id)
    except CloudError as error:
        await socket.send_denial_response(error_reply(error.code, error.message))
        return
    offered = _SUBPROTOCOL in socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=_SUBPROTOCOL if offered else None)
    about = {"guest": console.guest_id, "cell": console.cell.name, "type": console.type}
    log.info("console opened", **about)
    ending = await _pipe(socket, cloud, console, binary=offered or console.type == "display")
    log.info("console closed", **about, code=ending.code, reason=ending.reason)
    await ending.tell(socket)


@router.get("/guests/{id}/serial_log", response_model=Envelope[SerialLogOut])
async def get_serial_log(
    id: str,  # noqa: A002
    request: Request,
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """The end of what the guest has written to its serial console."""
    cell = await run_in_threadpool(_cell_of, cloud, id)
    found = await read_serial_log(_doors_of(request.app), cell, id)
    return reply(SerialLogOut(text=found.text, cut=found.cut))


def _check_origin(socket: WebSocket, allowed: list[str]) -> None:
    """A page of another site must not use a browser that is logged in here."""
    origin = socket.headers.get("origin")
    if not origin or origin in allowed or "*" in allowed:
        return
    if urlsplit(origin).netloc != socket.headers.get("host", ""):
        raise Forbidden(
            f"a page of '{origin[:200]}' may not open consoles of this system; the setting"
            " cors_origins names those that may"
        )


async def _pipe(socket: WebSocket, cloud: Cloud, console: Console, *, binary: bool) -> Ending:
    async def check_allowed() -> None:
        await run_in_threadpool(_check, cloud, console)

    idle_seconds = cloud.settings.console_idle_seconds
    try:
        async with _doors_of(socket.app).open(console) as stream:
            pipe = Pipe(socket, stream, binary=binary)
            return await pipe.run(idle_seconds=idle_seconds, check_allowed=check_allowed)
    except OSError as error:
        return Ending(1011, f"the console cannot be reached: {error}")


def _doors_of(app: Any) -> Doors:
    doors: Doors = app.state.doors
    return doors


def _take(cloud: Cloud, channel_id: str) -> Console:
    with cloud.database.transaction() as session:
        return service.take_channel(session, cloud.settings, channel_id)


def _check(cloud: Cloud, console: Console) -> None:
    with cloud.database.reading() as session:
        service.check_still_allowed(session, cloud.settings, console.opened_by, console.guest_id)


def _cell_of(cloud: Cloud, guest_id: str) -> Cell:
    with cloud.database.reading() as session:
        return session.get_one(Cell, guests.get(session, guest_id).cell)
