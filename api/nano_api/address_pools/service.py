# SPDX-License-Identifier: Apache-2.0
"""Address pools: made, filled with ranges, and given away address by address.

Nothing here commits. A database transaction that writes is alone, so two guests never get one
address; the unique constraint says so again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from nano_api.address_pools.addresses import Range, parse_address, parse_range
from nano_api.address_pools.tables import AddressAllocation, AddressPool, AddressRange
from nano_api.compute_pools.tables import ComputePool
from nano_api.errors import Conflict, InvalidInput, NoSpace, NotFound
from nano_api.naming import check_object_name

PROVIDERS = ("dhcp", "cloudinit")
#: The only kind of range that Nano really has.
RANGE_TYPE = "internal"
_MOST_DNS_SERVERS = 8
_MOST_RANGES = 256


@dataclass(frozen=True)
class PoolUse:
    """A pool with the number of its addresses and of those that guests have."""

    pool: AddressPool
    addresses: int
    allocated: int


def list_pools(session: Session) -> list[PoolUse]:
    """All pools, by name."""
    counts = session.execute(
        select(AddressAllocation.pool, func.count()).group_by(AddressAllocation.pool)
    )
    allocated = {str(pool): int(count) for pool, count in counts}
    return [
        PoolUse(
            pool,
            sum(capacity_of(pool, row) for row in ranges_of(session, pool.name)),
            allocated.get(pool.name, 0),
        )
        for pool in session.scalars(select(AddressPool).order_by(AddressPool.name))
    ]


def get(session: Session, name: str) -> AddressPool:
    """:raises NotFound: there is no such pool"""
    pool = session.get(AddressPool, name)
    if pool is None:
        raise NotFound(f"invalid address pool '{name[:80]}'", pool=name[:80])
    return pool


def create(session: Session, name: str, *, gateway: str, dns: Sequence[str], provider: str) -> None:
    """A pool without ranges.

    :raises InvalidInput: a field is missing or is no address
    :raises Conflict: the name is taken
    """
    check_object_name(name, "address pool")
    values = _checked(gateway, dns, provider)
    if session.get(AddressPool, name):
        raise Conflict(f"address pool '{name}' already exists", pool=name)
    session.add(AddressPool(name=name, **values))
    session.flush()


def change(session: Session, name: str, *, gateway: str, dns: Sequence[str], provider: str) -> None:
    """Replace a pool's settings; addresses that guests have stay theirs.

    :raises NotFound: there is no such pool
    :raises InvalidInput: a field is missing or is no address
    """
    pool = get(session, name)
    for field, value in _checked(gateway, dns, provider).items():
        setattr(pool, field, value)


def remove(session: Session, name: str) -> None:
    """Delete a pool with its ranges.

    :raises NotFound: there is no such pool
    :raises Conflict: a compute pool names it, or guests have addresses of it
    """
    pool = get(session, name)
    user = session.scalar(select(ComputePool.name).where(ComputePool.network == name))
    if user:
        raise Conflict(f"address pool '{name}' is used by compute pool '{user}'", pool=name)
    count = len(allocations_of(session, name))
    if count:
        raise Conflict(f"{count} address(es) of pool '{name}' are allocated", pool=name)
    session.delete(pool)
    session.flush()


def ranges_of(session: Session, pool: str) -> list[AddressRange]:
    """A pool's ranges, in the order in which they are used up."""
    rows = select(AddressRange).where(AddressRange.pool == pool).order_by(AddressRange.id)
    return list(session.scalars(rows))


def allocations_of(
    session: Session, pool: str, range_id: int | None = None
) -> list[AddressAllocation]:
    """The addresses of a pool (or of one range) that guests have, in numerical order."""
    query = select(AddressAllocation).where(AddressAllocation.pool == pool)
    if range_id is not None:
        query = query.where(AddressAllocation.range_id == range_id)
    return sorted(session.scalars(query), key=lambda row: IPv4Address(row.address))


def get_range(session: Session, pool: str, range_type: str, start: str) -> AddressRange:
    """:raises NotFound: there is no such pool, or it has no such range"""
    get(session, pool)
    check_range_type(range_type)
    first = str(parse_address(start, "start"))
    row = session.scalar(
        select(AddressRange).where(AddressRange.pool == pool, AddressRange.start == first)
    )
    if row is None:
        raise NotFound(f"no range starts with {first} in address pool '{pool}'", pool=pool)
    return row


def pools_with_range(session: Session, start: str) -> list[str]:
    """The pools that have a range with this start: what a path without a pool may mean."""
    first = str(parse_address(start, "start"))
    rows = select(AddressRange.pool).where(AddressRange.start == first)
    return list(session.scalars(rows.order_by(AddressRange.pool)))


def add_range(
    session: Session, pool: str, range_type: str, start: str, *, end: str, netmask: str
) -> None:
    """Add a range, to be used after those that the pool has.

    :raises NotFound: there is no such pool
    :raises InvalidInput: an address is none, or the three do not fit together
    :raises Conflict: a range of the pool has some of the addresses
    """
    get(session, pool)
    check_range_type(range_type)
    wanted = parse_range(start, end, netmask)
    rows = ranges_of(session, pool)
    if len(rows) >= _MOST_RANGES:
        raise Conflict(f"address pool '{pool}' has {_MOST_RANGES} ranges already", pool=pool)
    for row in rows:
        if wanted.overlaps(_range_of(row)):
            raise Conflict(
                f"range {wanted.start}-{wanted.end} overlaps {row.start}-{row.end}"
                f" of address pool '{pool}'",
                pool=pool,
            )
    session.add(
        AddressRange(
            pool=pool,
            start=str(wanted.start),
            end=str(wanted.end),
            netmask=str(wanted.network.netmask),
        )
    )
    session.flush()


def remove_range(session: Session, pool: str, range_type: str, start: str) -> None:
    """Delete a range.

    :raises NotFound: there is no such pool or range
    :raises Conflict: guests have addresses of it
    """
    row = get_range(session, pool, range_type, start)
    used = allocations_of(session, pool, row.id)
    if used:
        raise Conflict(
            f"{len(used)} address(es) of range {row.start}-{row.end} are allocated", pool=pool
        )
    session.execute(delete(AddressRange).where(AddressRange.id == row.id))


def check_range_type(range_type: str) -> None:
    """:raises InvalidInput: it is not the one that there is"""
    if range_type != RANGE_TYPE:
        raise InvalidInput(
            f"unsupported range type '{range_type[:40]}': use '{RANGE_TYPE}'", field="type"
        )


def capacity_of(pool: AddressPool, row: AddressRange) -> int:
    """How many guests can have an address of a range."""
    return _range_of(row).capacity(IPv4Address(pool.gateway))


def allocate(session: Session, pool_name: str, guest_id: str) -> str:
    """Give a guest an address: ``a.b.c.d/nn``. A guest that has one of the pool keeps it.

    Ranges in their order; in a range from a random place on, so that an address that was given
    back is not soon somebody else's.

    :raises NotFound: there is no such pool
    :raises Conflict: the guest has an address of another pool
    :raises NoSpace: all addresses are allocated
    """
    pool = get(session, pool_name)
    held = session.get(AddressAllocation, guest_id)
    if held is not None:
        if held.pool != pool_name:
            raise Conflict(f"guest has an address of address pool '{held.pool}'", guest=guest_id)
        return f"{held.address}/{held.prefix_length}"
    gateway = IPv4Address(pool.gateway)
    for row in ranges_of(session, pool_name):
        candidates = _range_of(row)
        used = select(AddressAllocation.address).where(AddressAllocation.range_id == row.id)
        taken = {IPv4Address(address) for address in session.scalars(used)}
        size = int(candidates.end) - int(candidates.start) + 1
        address = candidates.free_address(taken, gateway, secrets.randbelow(size))
        if address is None:
            continue
        allocation = AddressAllocation(
            guest_id=guest_id,
            pool=pool_name,
            range_id=row.id,
            address=str(address),
            prefix_length=candidates.network.prefixlen,
        )
        session.add(allocation)
        session.flush()
        return f"{allocation.address}/{allocation.prefix_length}"
    raise NoSpace(f"no address available in address pool '{pool_name}'", pool=pool_name)


def release(session: Session, guest_id: str) -> None:
    """Take back a guest's address; nothing if it has none."""
    session.execute(delete(AddressAllocation).where(AddressAllocation.guest_id == guest_id))


def address_of(session: Session, guest_id: str) -> str | None:
    """A guest's address as ``a.b.c.d/nn``, None if it has none."""
    held = session.get(AddressAllocation, guest_id)
    return None if held is None else f"{held.address}/{held.prefix_length}"


def _range_of(row: AddressRange) -> Range:
    return parse_range(row.start, row.end, row.netmask)


def _checked(gateway: str, dns: Sequence[str], provider: str) -> dict[str, str | list[str]]:
    if provider not in PROVIDERS:
        raise InvalidInput(
            f"invalid provider '{provider[:40]}': use {' or '.join(PROVIDERS)}", field="provider"
        )
    if len(dns) > _MOST_DNS_SERVERS:
        raise InvalidInput(f"more than {_MOST_DNS_SERVERS} dns servers", field="dns")
    return {
        "gateway": str(parse_address(gateway, "gateway")),
        "dns": [str(parse_address(server, "dns")) for server in dns],
        "provider": provider,
    }
