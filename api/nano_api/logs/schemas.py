# SPDX-License-Identifier: Apache-2.0
"""The operation log on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from nano_api.envelope import WireModel


class LogOut(BaseModel):
    """An entry. ``source``, ``user`` and ``address`` are ours: who really wrote it."""

    id: str = Field(description="YYYYMMDDhhmmss and three digits")
    time: str = Field(description="YYYY-MM-DD HH:MM:SS, the server's local time")
    content: str
    source: Literal["server", "client"]
    user: str | None = Field(default=None, description="left out when nobody was logged in")
    address: str | None = None


class LogPage(BaseModel):
    """A page of the log, newest first."""

    logs: list[LogOut]
    total: int = Field(description="entries that match, counted up to 1000")


class LogBody(WireModel):
    """An entry to write."""

    format: str = Field(default="", description="accepted, not used")
    content: str = Field(default="", description="required: one line")


class LogIds(WireModel):
    """Entries to delete."""

    entries: list[str] = Field(default_factory=list, description="ids; at least one")
