# SPDX-License-Identifier: Apache-2.0
"""System templates on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from nano_api.envelope import WireModel


class TemplateSummary(BaseModel):
    """A template in the list."""

    id: str
    name: str
    operating_system: Literal["linux", "windows"]
    created_time: str = Field(description="YYYY-MM-DD HH:MM:SS, the server's local time")
    modified_time: str


class TemplateDetail(TemplateSummary):
    """A template with its device models."""

    admin: str = Field(description="administrator account of the guest's system")
    disk: Literal["scsi", "sata", "ide"]
    network: Literal["virtio", "e1000", "rtl8139"]
    display: Literal["vga", "cirrus", "qxl", "virtio", "none"]
    control: Literal["vnc", "spice"]
    usb: Literal["nec-xhci"] | None = Field(default=None, description="left out: none")
    tablet: Literal["usb", "virtio"] | None = Field(default=None, description="left out: none")


class TemplateBody(WireModel):
    """All choices of a template; they replace those that it had."""

    name: str = Field(default="", description="required, unique")
    admin: str = Field(default="", description="required: administrator account of the system")
    operating_system: str = Field(default="", description="linux or windows")
    disk: str = Field(default="", description="scsi, sata or ide")
    network: str = Field(default="", description="virtio, e1000 or rtl8139")
    display: str = Field(default="", description="vga, cirrus, qxl, virtio or none")
    control: str = Field(default="", description="vnc or spice")
    usb: str = Field(default="", description="empty (none) or nec-xhci")
    tablet: str = Field(default="", description="empty (none), usb or virtio")


class NewTemplate(BaseModel):
    """The template that was made."""

    id: str
