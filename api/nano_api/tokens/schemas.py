# SPDX-License-Identifier: Apache-2.0
"""Tokens on the wire. Times are the server's local ``YYYY-MM-DD HH:MM:SS``."""

from __future__ import annotations

from pydantic import BaseModel, Field

from nano_api.envelope import WireModel


class TokenOut(BaseModel):
    """A token, without what makes it one."""

    id: str
    name: str
    menu: list[str] = Field(description="what it may use, as far as its user may")
    create_time: str
    expire_time: str | None = Field(default=None, description="left out: it has no end")
    last_used_time: str | None = Field(default=None, description="to the minute; left out: never")
    last_used_from: str | None = Field(default=None, description="the client's address")


class TokenBody(WireModel):
    """A token to make."""

    name: str = Field(default="", description="required: what it is for, unique among yours")
    menu: list[str] = Field(default_factory=list, description="some of your menus; at least one")
    days: int = Field(default=0, description="how long it lives; 0: until it is revoked")


class NewToken(BaseModel):
    """The token that was made."""

    id: str
    token: str = Field(description="for Authorization: Bearer, or Nano-Session; not told again")
