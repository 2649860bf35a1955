# SPDX-License-Identifier: Apache-2.0
"""Accounts on the wire."""

from __future__ import annotations

from pydantic import BaseModel, Field

from nano_api.envelope import WireModel


class RoleOut(BaseModel):
    """A role."""

    menu: list[str] = Field(description="the portal's areas that it opens")


class RoleBody(WireModel):
    """The menus of a role; they replace those that it had."""

    menu: list[str] = Field(default_factory=list, description="at least one")


class GroupSummary(BaseModel):
    """A group in the list."""

    name: str
    display: str
    member: int = Field(description="number of its users")


class GroupDetail(BaseModel):
    """One group. Lists that are empty are left out."""

    name: str
    display: str
    role: list[str] | None = None
    member: list[str] | None = None


class GroupBody(WireModel):
    """A group's text and roles; they replace what it had."""

    display: str = ""
    role: list[str] = Field(default_factory=list, description="names of roles")


class UserOut(BaseModel):
    """One user. Texts that are empty are left out."""

    name: str
    nick: str | None = None
    mail: str | None = None


class NewUserBody(WireModel):
    """A user to make."""

    nick: str = ""
    mail: str = ""
    password: str = Field(
        default="",
        description="required: 8 characters or more, a digit, a lower and an upper letter",
        json_schema_extra={"format": "password"},
    )


class UserBody(WireModel):
    """A user's texts; empty means unchanged."""

    nick: str = ""
    mail: str = ""


class PasswordBody(WireModel):
    """The password that is, and the one that shall be."""

    old: str = Field(default="", json_schema_extra={"format": "password"})
    new: str = Field(default="", json_schema_extra={"format": "password"})
