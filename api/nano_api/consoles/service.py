# SPDX-License-Identifier: Apache-2.0
"""Console channels: made by a session, used once by whoever has the id, over when it is."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from nano_api.access import check_console
from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.consoles.tables import ChannelType, ConsoleChannel
from nano_api.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from nano_api.guests import service as guests
from nano_api.guests.tables import Guest
from nano_api.sessions.dependency import identify_digest
from nano_api.settings import Settings

#: From the making of a channel to its connection; Nano's figure.
LIFETIME = timedelta(seconds=15)
_TYPES: dict[str, ChannelType] = {"": "display", "display": "display", "serial": "serial"}


@dataclass(frozen=True)
class Console:
    """Where a channel leads, and on whose behalf."""

    type: ChannelType
    guest_id: str
    cell: Cell
    display_port: int
    takes_over: bool
    opened_by: str


def channel_type(name: str) -> ChannelType:
    """The type that a request names; none is the display, as in Nano.

    :raises InvalidInput: there is no such type
    """
    if name not in _TYPES:
        raise InvalidInput(f"type must be display or serial, not '{name[:80]}'", field="type")
    return _TYPES[name]


def open_channel(
    session: Session, guest_id: str, *, kind: ChannelType, takes_over: bool, opened_by: str
) -> tuple[ConsoleChannel, Guest]:
    """A new channel to a running guest. ``opened_by``: the digest of the session or token.

    :raises Conflict: it does not run
    """
    guest = guests.get(session, guest_id)
    if not guest.running:
        raise Conflict(f"instance '{guest.id}' is stopped: start it first", guest=guest.id)
    session.execute(delete(ConsoleChannel).where(ConsoleChannel.created_at < now() - LIFETIME))
    channel = ConsoleChannel(
        id=str(uuid.uuid4()),
        guest_id=guest.id,
        type=kind,
        takes_over=takes_over,
        opened_by=opened_by,
    )
    session.add(channel)
    return channel, guest


def take_channel(session: Session, settings: Settings, channel_id: str) -> Console:
    """Where a channel leads; it is used up by this.

    :raises NotFound: unknown, used, or too old; the message is Nano's
    :raises Unauthenticated: the session that made it is over
    :raises Forbidden: its user may not use the guest any more
    """
    # One statement, so that of two connections at the same moment one is refused.
    taken = delete(ConsoleChannel).where(ConsoleChannel.id == channel_id).returning(ConsoleChannel)
    channel = session.scalar(taken)
    if channel is None or channel.created_at < now() - LIFETIME:
        raise NotFound(f"invalid channel '{channel_id[:80]}'", channel=channel_id[:80])
    check_still_allowed(session, settings, channel.opened_by, channel.guest_id)
    guest = guests.get(session, channel.guest_id)
    return Console(
        type=channel.type,
        guest_id=guest.id,
        cell=session.get_one(Cell, guest.cell),
        display_port=guest.display_port,
        takes_over=channel.takes_over,
        opened_by=channel.opened_by,
    )


def check_still_allowed(
    session: Session, settings: Settings, opened_by: str, guest_id: str
) -> None:
    """Nothing, while the maker of a channel is logged in and may use the guest.

    :raises Unauthenticated: the session or token is over
    :raises Forbidden: its user may not use the guest any more
    """
    caller = identify_digest(session, opened_by)
    if caller is None:
        raise Unauthenticated("the session that opened this console is over")
    check_console(session, settings, caller, guest_id)
