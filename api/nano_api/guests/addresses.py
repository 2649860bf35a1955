# SPDX-License-Identifier: Apache-2.0
"""How a guest gets the address that its pool gave it: by DHCP from its cell, or by cloud-init."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from nano_api.address_pools.tables import AddressAllocation, AddressPool
from nano_api.guests.tables import Guest


def lease_of(session: Session, guest: Guest) -> dict[str, Any] | None:
    """The guest's entry for ``nano.cloud.address_lease``; None when its cell serves it none."""
    found = _allocation(session, guest)
    if found is None or found[1].provider != "dhcp":
        return None
    address, pool = found
    return {
        "mac": guest.mac,
        "address": f"{address.address}/{address.prefix_length}",
        "gateway": pool.gateway,
        "dns": pool.dns,
    }


def lease_to_remove(guest: Guest) -> dict[str, Any] | None:
    """What names a lease that the guest's cell may have, whoever provides addresses by now."""
    return {"mac": guest.mac} if guest.allocated_address else None


def static_network(session: Session, guest: Guest) -> dict[str, Any] | None:
    """The card's configuration as cloud-init is told it; None when the card asks by DHCP."""
    found = _allocation(session, guest)
    if found is None or found[1].provider != "cloudinit":
        return None
    address, pool = found
    return {
        "addresses": [f"{address.address}/{address.prefix_length}"],
        "gateways": [pool.gateway],
        "dns": pool.dns,
    }


def _allocation(session: Session, guest: Guest) -> tuple[AddressAllocation, AddressPool] | None:
    held = session.get(AddressAllocation, guest.id)
    return None if held is None else (held, session.get_one(AddressPool, held.pool))
