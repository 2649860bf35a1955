# SPDX-License-Identifier: Apache-2.0
"""Who is logged in, and who tried in vain."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.database import Base


class LoginSession(Base):
    """A log-in. Only the SHA-256 of its id is kept: the table alone opens no door.

    What it may do is looked up with it each time: it is what the user may do now.
    """

    __tablename__ = "sessions"

    digest: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"), index=True)
    address: Mapped[str]
    nonce: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class FailedLogins(Base):
    """How often a log-in failed for an account or from an address, and until when it waits."""

    __tablename__ = "failed_logins"

    kind: Mapped[str] = mapped_column(primary_key=True)  # account | address
    subject: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(index=True)
    blocked_until: Mapped[datetime]
