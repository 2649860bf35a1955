# SPDX-License-Identifier: Apache-2.0
"""``/address_pools/``: pools and their ranges.

The document's paths ``/address_pools/ranges/{start}`` name no pool: it comes from the query or
the body, or is the only one that can be meant.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Query
from sqlalchemy.orm import Session

from nano_api.address_pools import service
from nano_api.address_pools.schemas import (
    AllocationOut,
    PoolBody,
    PoolDetail,
    PoolSummary,
    RangeBody,
    RangeDetail,
    RangePlace,
    RangeSummary,
    range_with_capacity,
)
from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.errors import InvalidInput
from nano_api.sessions.dependency import CurrentSession

router = NanoRouter(tags=["address pools"])

PoolBodyIn = Annotated[PoolBody, Body(default_factory=PoolBody)]
RangeBodyIn = Annotated[RangeBody, Body(default_factory=RangeBody)]
PlaceIn = Annotated[RangePlace, Body(default_factory=RangePlace)]
PoolQuery = Annotated[str, Query(description="the address pool, if the body does not name it")]
TypeQuery = Annotated[str, Query(description="the range's type; empty: internal")]


@router.get(
    "/address_pools/",
    response_model=Envelope[list[PoolSummary]],
    summary="List all address pools",
)
def list_address_pools(cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """By name, with the number of addresses."""
    with cloud.database.reading() as session:
        found = service.list_pools(session)
    return reply(
        [
            {
                "name": use.pool.name,
                "gateway": use.pool.gateway,
                "dns": use.pool.dns or None,
                "provider": use.pool.provider,
                "addresses": use.addresses,
                "allocated": use.allocated,
            }
            for use in found
        ]
    )


@router.get(
    "/address_pools/{pool}", response_model=Envelope[PoolDetail], summary="Get an address pool"
)
def get_address_pool(pool: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """One pool with its ranges, and who has which address."""
    with cloud.database.reading() as session:
        found = service.get(session, pool)
        ranges = [range_with_capacity(found, row) for row in service.ranges_of(session, pool)]
        allocated = [AllocationOut.of(row) for row in service.allocations_of(session, pool)]
    return reply(
        {
            "name": found.name,
            "gateway": found.gateway,
            "dns": found.dns or None,
            "provider": found.provider,
            "ranges": ranges or None,
            "allocated": allocated or None,
        }
    )


@router.post(
    "/address_pools/{pool}", response_model=Envelope[str], summary="Create an address pool"
)
def create_address_pool(
    pool: str, cloud: CurrentCloud, _caller: CurrentSession, body: PoolBodyIn
) -> Any:
    """A pool without ranges."""
    with cloud.database.transaction() as session:
        service.create(session, pool, **body.model_dump(exclude={"mode"}))
    return reply()


@router.put("/address_pools/{pool}", response_model=Envelope[str], summary="Change an address pool")
def change_address_pool(
    pool: str, cloud: CurrentCloud, _caller: CurrentSession, body: PoolBodyIn
) -> Any:
    """Replace the settings; guests keep their addresses."""
    with cloud.database.transaction() as session:
        service.change(session, pool, **body.model_dump(exclude={"mode"}))
    return reply()


@router.delete(
    "/address_pools/{pool}", response_model=Envelope[str], summary="Delete an address pool"
)
def delete_address_pool(pool: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """Refused while a compute pool uses it or guests have addresses of it."""
    with cloud.database.transaction() as session:
        service.remove(session, pool)
    return reply()


@router.get(
    "/address_pools/{pool}/{type}/ranges/",
    response_model=Envelope[list[RangeSummary]],
    summary="List the ranges of an address pool",
)
def list_ranges(
    pool: str,
    type: str,  # noqa: A002  (the document's name)
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """In the order in which they are used up."""
    with cloud.database.reading() as session:
        service.get(session, pool)
        service.check_range_type(type)
        found = service.ranges_of(session, pool)
    return reply([{"start": row.start, "end": row.end, "netmask": row.netmask} for row in found])


@router.get(
    "/address_pools/{pool}/{type}/ranges/{start}",
    response_model=Envelope[RangeDetail],
    summary="Get an address range",
)
def get_range(
    pool: str,
    type: str,  # noqa: A002
    start: str,
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """One range, and who has which address of it."""
    with cloud.database.reading() as session:
        return reply(_range_detail(session, pool, type, start))


@router.post(
    "/address_pools/{pool}/{type}/ranges/{start}",
    response_model=Envelope[str],
    summary="Add an address range",
)
def add_range(
    pool: str,
    type: str,  # noqa: A002
    start: str,
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: RangeBodyIn,
) -> Any:
    """It is used up after the ranges that the pool has."""
    with cloud.database.transaction() as session:
        service.add_range(session, pool, type, start, end=body.end, netmask=body.netmask)
    return reply()


@router.delete(
    "/address_pools/{pool}/{type}/ranges/{start}",
    response_model=Envelope[str],
    summary="Delete an address range",
)
def delete_range(
    pool: str,
    type: str,  # noqa: A002
    start: str,
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """Refused while guests have addresses of it."""
    with cloud.database.transaction() as session:
        service.remove_range(session, pool, type, start)
    return reply()


@router.get(
    "/address_pools/ranges/{start}",
    response_model=Envelope[RangeDetail],
    summary="Get an address range (the document's path)",
)
def get_range_by_start(
    start: str,
    cloud: CurrentCloud,
    _caller: CurrentSession,
    pool: PoolQuery = "",
    type: TypeQuery = "",  # noqa: A002
) -> Any:
    """Without a pool: the only range that starts so."""
    with cloud.database.reading() as session:
        pool = pool or _only_one(service.pools_with_range(session, start), start)
        return reply(_range_detail(session, pool, type or service.RANGE_TYPE, start))


@router.post(
    "/address_pools/ranges/{start}",
    response_model=Envelope[str],
    summary="Add an address range (the document's path)",
)
def add_range_by_start(
    start: str,
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: RangeBodyIn,
    pool: PoolQuery = "",
    type: TypeQuery = "",  # noqa: A002
) -> Any:
    """The pool is required, in the query or the body."""
    named = _agreed(pool, body.pool, "pool")
    if not named:
        raise InvalidInput("pool required: add ?pool=NAME or the field 'pool'", field="pool")
    kind = _agreed(type, body.type, "type") or service.RANGE_TYPE
    with cloud.database.transaction() as session:
        service.add_range(session, named, kind, start, end=body.end, netmask=body.netmask)
    return reply()


@router.delete(
    "/address_pools/ranges/{start}",
    response_model=Envelope[str],
    summary="Delete an address range (the document's path)",
)
def delete_range_by_start(
    start: str,
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: PlaceIn,
    pool: PoolQuery = "",
    type: TypeQuery = "",  # noqa: A002
) -> Any:
    """Without a pool: the only range that starts so."""
    named = _agreed(pool, body.pool, "pool")
    kind = _agreed(type, body.type, "type") or service.RANGE_TYPE
    with cloud.database.transaction() as session:
        named = named or _only_one(service.pools_with_range(session, start), start)
        service.remove_range(session, named, kind, start)
    return reply()


def _range_detail(session: Session, pool: str, kind: str, start: str) -> RangeDetail:
    row = service.get_range(session, pool, kind, start)
    allocated = [AllocationOut.of(used) for used in service.allocations_of(session, pool, row.id)]
    shown = range_with_capacity(service.get(session, pool), row)
    return RangeDetail(**shown.model_dump(), allocated=allocated or None)


def _agreed(in_query: str, in_body: str, field: str) -> str:
    if in_query and in_body and in_query != in_body:
        raise InvalidInput(
            f"{field} is ambiguous: '{in_query[:80]}' in the query, '{in_body[:80]}' in the body",
            field=field,
        )
    return in_query or in_body


def _only_one(pools: list[str], start: str) -> str:
    if not pools:
        raise InvalidInput(
            f"pool required: no range starts with {start}; add ?pool=NAME", field="pool"
        )
    if len(pools) > 1:
        raise InvalidInput(
            f"pool is ambiguous: ranges of {', '.join(pools)} start with {start}; add ?pool=NAME",
            field="pool",
        )
    return pools[0]
