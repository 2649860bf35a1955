# SPDX-License-Identifier: Apache-2.0
"""System templates: which devices a guest gets, by the system that will run in it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from nano_api.database import Base


class SystemTemplate(Base):
    """Device models for one kind of guest system."""

    __tablename__ = "system_templates"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    admin: Mapped[str]  # the guest system's administrator account
    operating_system: Mapped[str]  # linux | windows
    disk: Mapped[str]  # scsi | sata | ide
    network: Mapped[str]  # virtio | e1000 | rtl8139
    display: Mapped[str]  # vga | cirrus | qxl | virtio | none
    control: Mapped[str]  # vnc | spice
    usb: Mapped[str] = mapped_column(default="")  # "" | nec-xhci
    tablet: Mapped[str] = mapped_column(default="")  # "" | usb | virtio
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]
