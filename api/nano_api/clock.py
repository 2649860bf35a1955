# SPDX-License-Identifier: Apache-2.0
"""Time: always aware UTC inside, Nano's local text form on the wire."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def wire_time(moment: datetime | None) -> str | None:
    """``YYYY-MM-DD HH:MM:SS`` in the server's local time, as Nano prints it."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else None
