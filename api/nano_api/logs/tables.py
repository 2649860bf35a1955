# SPDX-License-Identifier: Apache-2.0
"""The operation log."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.database import Base


class LogEntry(Base):
    """Something that was done. ``at`` has whole seconds, as Nano prints them."""

    __tablename__ = "operation_log"

    #: ``YYYYMMDDhhmmss`` in local time and three digits more; later entries have greater ids.
    id: Mapped[str] = mapped_column(String(17), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    content: Mapped[str] = mapped_column(Text)
    #: server: written for a request by the server itself; client: what a client posted
    source: Mapped[str] = mapped_column(String(8))
    user: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64))


class LogCounter(Base):
    """The newest id that was given away, in one row: no id comes twice, deleted or not."""

    __tablename__ = "operation_log_counter"

    key: Mapped[int] = mapped_column(primary_key=True)
    last_id: Mapped[str] = mapped_column(String(17))
