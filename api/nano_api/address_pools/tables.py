# SPDX-License-Identifier: Apache-2.0
"""Address pools, their ranges, and the addresses that guests have of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.clock import now
from nano_api.database import Base


class AddressPool(Base):
    """Where guests of a compute pool get their addresses from."""

    __tablename__ = "address_pools"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    gateway: Mapped[str] = mapped_column(String(15))
    dns: Mapped[list[str]]
    provider: Mapped[str] = mapped_column(String(16))  # dhcp | cloudinit


class AddressRange(Base):
    """Addresses of a pool, in dotted form. Ranges are used up in the order of their ids."""

    __tablename__ = "address_ranges"
    __table_args__ = (UniqueConstraint("pool", "start"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    pool: Mapped[str] = mapped_column(ForeignKey("address_pools.name", ondelete="CASCADE"))
    start: Mapped[str] = mapped_column(String(15))
    end: Mapped[str] = mapped_column(String(15))
    netmask: Mapped[str] = mapped_column(String(15))


class AddressAllocation(Base):
    """The address of one guest."""

    __tablename__ = "address_allocations"
    __table_args__ = (UniqueConstraint("pool", "address"),)

    guest_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    #: No cascade: a pool with allocations cannot go.
    pool: Mapped[str] = mapped_column(ForeignKey("address_pools.name"))
    range_id: Mapped[int] = mapped_column(ForeignKey("address_ranges.id"), index=True)
    address: Mapped[str] = mapped_column(String(15))
    prefix_length: Mapped[int]
    allocated_at: Mapped[datetime] = mapped_column(default=now)
