# SPDX-License-Identifier: Apache-2.0
"""The first run on the wire."""

from __future__ import annotations

from pydantic import BaseModel, Field

from nano_api.envelope import WireModel


class SystemStatus(BaseModel):
    """Whether there is an administrator yet, and the limits that the portal's dialogs use."""

    ready: bool
    max_cores: int = Field(description="cores of one guest")
    max_memory: int = Field(description="memory of one guest in GiB")
    max_disk: int = Field(description="size of one disk in GiB")


class InitialiseBody(WireModel):
    """The first account, with its role and group."""

    user: str = Field(default="", description="required")
    password: str = Field(
        default="",
        description="required: 8 characters or more, a digit, a lower and an upper letter",
        json_schema_extra={"format": "password"},
    )
    menu: list[str] = Field(
        default_factory=list, description="menus of the first role; at least one"
    )
    group: str = Field(default="", description="name of the first group; empty: admin")
    display: str = Field(default="", description="what the portal calls the group")
    role: str = Field(default="", description="name of the first role; empty: super")
