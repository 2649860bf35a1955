# SPDX-License-Identifier: Apache-2.0
"""Sessions on the wire."""

from __future__ import annotations

from pydantic import BaseModel, Field

from nano_api.envelope import WireModel


class LoginBody(WireModel):
    """Name and password; the nonce is the client's own mark and is never checked."""

    user: str = ""
    password: str = Field(default="", json_schema_extra={"format": "password"})
    nonce: str = ""


class Login(BaseModel):
    """A session that was opened."""

    session: str = Field(description="id for the header Nano-Session")
    group: str
    timeout: int = Field(description="seconds that it lives without renewal")
    menu: list[str]
    address: str | None = Field(default=None, description="the client's address, when known")


class SessionDetail(BaseModel):
    """Who a session belongs to."""

    user: str
    group: str
    timeout: int = Field(description="seconds that it lives without renewal")
    menu: list[str]
    address: str | None = None
