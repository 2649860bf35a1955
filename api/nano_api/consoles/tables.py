# SPDX-License-Identifier: Apache-2.0
"""Console channels: tickets for one connection to a guest's display."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.clock import now
from nano_api.database import Base


class ConsoleChannel(Base):
    """Good for one connection, soon after it was made."""

    __tablename__ = "console_channels"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    guest_id: Mapped[str] = mapped_column(ForeignKey("guests.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(default=now)
