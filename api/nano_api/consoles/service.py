# SPDX-License-Identifier: Apache-2.0
"""Console channels: made by a session, used once by whoever knows the id."""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.consoles.tables import ConsoleChannel
from nano_api.errors import Conflict, NotFound
from nano_api.guests import service as guests
from nano_api.guests.tables import Guest

#: From the making of a channel to its connection; Nano's figure.
LIFETIME = timedelta(seconds=15)


def open_channel(session: Session, guest_id: str) -> tuple[ConsoleChannel, Guest]:
    """A new channel to a running guest.

    :raises Conflict: it does not run
    """
    guest = guests.get(session, guest_id)
    if not guest.running:
        raise Conflict(f"instance '{guest.id}' is stopped: start it first", guest=guest.id)
    session.execute(delete(ConsoleChannel).where(ConsoleChannel.created_at < now() - LIFETIME))
    channel = ConsoleChannel(id=str(uuid.uuid4()), guest_id=guest.id)
    session.add(channel)
    return channel, guest


def take_channel(session: Session, channel_id: str) -> tuple[Cell, int]:
    """The cell and port behind a channel, which is used up by this.

    :raises NotFound: unknown, used, or too old; the message is Nano's
    """
    channel = session.get(ConsoleChannel, channel_id)
    if channel is None or channel.created_at < now() - LIFETIME:
        raise NotFound(f"invalid channel '{channel_id}'", channel=channel_id)
    guest = guests.get(session, channel.guest_id)
    session.delete(channel)
    return session.get_one(Cell, guest.cell), guest.display_port
