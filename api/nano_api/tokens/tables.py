# SPDX-License-Identifier: Apache-2.0
"""Tokens: long-lived log-ins of machines."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.clock import now
from nano_api.database import Base


class ApiToken(Base):
    """A token of a user. Only the SHA-256 of it is kept: the table alone opens no door."""

    __tablename__ = "api_tokens"
    __table_args__ = (UniqueConstraint("user", "name"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(64))
    #: What it may use at most; never more than its user may.
    menu: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    last_used_from: Mapped[str] = mapped_column(String(64), default="")
