# SPDX-License-Identifier: Apache-2.0
"""Guests: what is wanted of a virtual machine, and what was last observed of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.clock import now
from nano_api.database import Base

#: ``failed``: creation failed and everything was taken back; told once, then the row goes.
#: ``resetting``: the system disk is made anew; the guest is ``created`` again however that ends.
GuestState = Literal["creating", "created", "resetting", "failed", "deleting"]


class Guest(Base):
    """A virtual machine. ``name`` is Nano's full name, ``group.name``."""

    __tablename__ = "guests"
    __table_args__ = (
        UniqueConstraint("pool", "name"),
        UniqueConstraint("cell", "display_port"),
        Index("ix_guests_owner", "owner"),
        Index("ix_guests_group", "group"),
        Index("ix_guests_image", "image_id"),
        # All that a search looks at, in the order of its pages: see ``guests.reading``.
        Index(
            "ix_guests_listing",
            "name",
            "id",
            "owner",
            "group",
            "state",
            "pool",
            "cell",
            "allocated_address",
            "network_address",
        ),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    owner: Mapped[str] = mapped_column(String(128))
    group: Mapped[str] = mapped_column(String(128))
    pool: Mapped[str] = mapped_column(ForeignKey("compute_pools.name"))
    cell: Mapped[str] = mapped_column(ForeignKey("cells.name"), index=True)

    cores: Mapped[int]
    memory_bytes: Mapped[int] = mapped_column(BigInteger)
    disks: Mapped[list[int]]
    template_id: Mapped[str] = mapped_column(String(64))
    #: The template's choices, copied: a later change of the template is for later guests.
    hardware: Mapped[dict[str, Any]]
    image_id: Mapped[str | None] = mapped_column(String(64))
    #: The image in its CD drive.
    media_id: Mapped[str | None] = mapped_column(String(64))
    modules: Mapped[list[str]]
    auto_start: Mapped[bool] = mapped_column(default=False)
    #: ``guests.limits`` has the form.
    limits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    mac: Mapped[str] = mapped_column(String(17), unique=True)
    #: ``{"default_action", "rules"}`` as ``security_policies.rules`` has them; empty: none.
    policy: Mapped[dict[str, Any]] = mapped_column(default=dict)
    #: As ``nano.cloud.snapshot_info`` last told them, oldest first.
    snapshots: Mapped[list[Any]] = mapped_column(default=list)
    #: ``a.b.c.d/nn`` of the address pool, and what the guest itself was seen to have.
    allocated_address: Mapped[str | None] = mapped_column(String(18))
    network_address: Mapped[str | None] = mapped_column(String(45))
    display_port: Mapped[int]
    monitor_secret_sealed: Mapped[str] = mapped_column(Text)
    #: The administrator's account inside the guest, and its password when it is known to us.
    admin_name: Mapped[str | None] = mapped_column(String(64))
    admin_secret_sealed: Mapped[str | None] = mapped_column(Text)
    #: ``{"root_enabled", "data_path"}``; empty: the guest has no cloud-init.
    cloud_init: Mapped[dict[str, Any]] = mapped_column(default=dict)

    state: Mapped[GuestState] = mapped_column(String(16), default="creating")
    running: Mapped[bool] = mapped_column(default=False)
    #: When ``running`` was read from the cell; an older reading never overwrites a newer one.
    observed_at: Mapped[datetime | None]
    job_id: Mapped[str | None] = mapped_column(String(36))
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)


class GuestDefinition(Base):
    """A domain of a cell as the observer last saw it, whoever made it.

    Guests of ours have one on their cell, and one more on every cell where a copy of them is left.
    A domain without a row in ``guests`` is an unknown guest. ``xml`` is what its next start will
    use, without secrets. ``present`` is False of a guest of ours that was removed behind our back:
    then the XML tells how it was.
    """

    __tablename__ = "guest_definitions"

    cell: Mapped[str] = mapped_column(
        ForeignKey("cells.name", ondelete="CASCADE"), primary_key=True
    )
    guest_id: Mapped[str] = mapped_column(String(36), primary_key=True, index=True)
    name: Mapped[str] = mapped_column(String(255))
    xml: Mapped[str] = mapped_column(Text)
    auto_start: Mapped[bool] = mapped_column(default=False)
    running: Mapped[bool] = mapped_column(default=False)
    present: Mapped[bool] = mapped_column(default=True)
    #: When it was last read and found changed, or read after a job had read the guest.
    seen_at: Mapped[datetime]
