# SPDX-License-Identifier: Apache-2.0
"""Address pools on the wire. Addresses are IPv4 in dotted form."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from nano_api.address_pools import service
from nano_api.address_pools.tables import AddressAllocation, AddressPool, AddressRange
from nano_api.envelope import WireModel


class PoolSummary(BaseModel):
    """A pool in the list."""

    name: str
    gateway: str
    dns: list[str] | None = Field(default=None, description="left out when there is none")
    provider: Literal["dhcp", "cloudinit"]
    addresses: int = Field(description="that guests can have")
    allocated: int = Field(description="that guests have")


class RangeSummary(BaseModel):
    """A range."""

    start: str
    end: str
    netmask: str


class RangeWithCapacity(RangeSummary):
    """A range of a pool."""

    capacity: int = Field(description="addresses that guests can have")


class AllocationOut(BaseModel):
    """An address that a guest has."""

    address: str
    instance: str = Field(description="the guest's id")

    @classmethod
    def of(cls, row: AddressAllocation) -> AllocationOut:
        """The wire's form of a row."""
        return cls(address=row.address, instance=row.guest_id)


class PoolDetail(BaseModel):
    """One pool. Lists that are empty are left out."""

    name: str
    gateway: str
    dns: list[str] | None = None
    provider: Literal["dhcp", "cloudinit"]
    ranges: list[RangeWithCapacity] | None = None
    allocated: list[AllocationOut] | None = None


class RangeDetail(RangeWithCapacity):
    """One range; ``allocated`` is left out when no guest has an address of it."""

    allocated: list[AllocationOut] | None = None


class PoolBody(WireModel):
    """A pool's settings; they replace those that it had."""

    gateway: str = Field(default="", description="required")
    dns: list[str] = Field(default_factory=list)
    provider: str = Field(default="", description="required: dhcp or cloudinit")
    mode: str = Field(default="", description="accepted, not used")


class RangeBody(WireModel):
    """A range to add; its start stands in the path."""

    end: str = Field(default="", description="required")
    netmask: str = Field(default="", description="required")
    pool: str = Field(default="", description="only where the path names none")
    type: str = Field(default="", description="only where the path names none; empty: internal")


class RangePlace(WireModel):
    """Which range is meant, where the path names no pool."""

    pool: str = ""
    type: str = Field(default="", description="empty: internal")


def range_with_capacity(pool: AddressPool, row: AddressRange) -> RangeWithCapacity:
    """The wire's form of a range."""
    return RangeWithCapacity(
        start=row.start,
        end=row.end,
        netmask=row.netmask,
        capacity=service.capacity_of(pool, row),
    )
