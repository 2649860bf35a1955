# SPDX-License-Identifier: Apache-2.0
"""Console channels: tickets for one connection to a guest's display or serial console."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.clock import now
from nano_api.database import Base

ChannelType = Literal["display", "serial"]


class ConsoleChannel(Base):
    """Good for one connection, soon after it was made, while its maker is logged in."""

    __tablename__ = "console_channels"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    guest_id: Mapped[str] = mapped_column(ForeignKey("guests.id", ondelete="CASCADE"))
    type: Mapped[ChannelType] = mapped_column(String(8), default="display")
    #: Serial consoles have one user at a time; this one puts another out.
    takes_over: Mapped[bool] = mapped_column(default=False)
    #: SHA-256 of the session or token that made it, as their own tables have it.
    opened_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)
