# SPDX-License-Identifier: Apache-2.0
"""Cells: the hosts of the inventory's group ``cells``, and what was last observed of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.database import Base


class Cell(Base):
    """A host that runs guests. Sizes in bytes, ``cpu_usage_percent`` of all cores."""

    __tablename__ = "cells"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    address: Mapped[str] = mapped_column(String(255))
    in_inventory: Mapped[bool] = mapped_column(default=True)
    #: Connection variables of the inventory that the observer needs; no passwords.
    connection: Mapped[dict[str, Any]] = mapped_column(default=dict)
    pool: Mapped[str | None] = mapped_column(ForeignKey("compute_pools.name"), index=True)
    enabled: Mapped[bool] = mapped_column(default=True)

    #: On its pool's shared storage: ``held``; ``revoked`` while its guests are taken over and until
    #: it has forgotten them; ``""`` without failover.
    lease: Mapped[str] = mapped_column(String(16), default="")

    alive: Mapped[bool] = mapped_column(default=False)
    seen_at: Mapped[datetime | None]
    problem: Mapped[str | None] = mapped_column(Text)
    cores: Mapped[int] = mapped_column(default=0)
    cpu_usage_percent: Mapped[float] = mapped_column(default=0.0)
    memory_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    memory_available_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    disk_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    disk_available_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    #: Of a compute pool with shared storage: whether libvirt has it mounted, and why not.
    storage_attached: Mapped[bool] = mapped_column(default=False)
    storage_problem: Mapped[str | None] = mapped_column(Text)
