# SPDX-License-Identifier: Apache-2.0
"""Guests as readers see them: one, a list, a page of a search made by the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.compute_pools import service as compute_pools
from nano_api.errors import InvalidInput, NotFound
from nano_api.guests.tables import Guest
from nano_api.jobs.tables import Job

_DEFAULT_LIMIT = 20
_HIGHEST_LIMIT = 1000
_LONGEST_KEYWORD = 128


@dataclass(frozen=True)
class GuestView:
    """A guest with what a reader wants to know of its surroundings.

    In lists ``guest`` has only the columns that are told there.
    """

    guest: Guest
    percent: int
    cell_address: str
    cell_alive: bool


@dataclass(frozen=True)
class Page:
    """A page of a search. ``total``: how many guests the search has in all."""

    views: list[GuestView]
    total: int
    limit: int
    offset: int


def view(session: Session, guest_id: str) -> GuestView:
    """One guest.

    :raises NotFound: no such guest
    """
    query = _with_surroundings(select(Guest, Cell.address, Cell.alive, Job.percent))
    found = session.execute(query.where(Guest.id == guest_id)).first()
    if found is None:
        raise NotFound(f"invalid guest '{guest_id}'", guest=guest_id)
    guest, address, alive, percent = found
    return GuestView(guest, percent or 0, address, alive)


def search(
    session: Session,
    *,
    pool: str,
    cell: str | None,
    owner: str,
    group: str | None,
    running: bool | None,
    created: bool | None,
) -> list[GuestView]:
    """The guests of a pool, by name; ``group`` shows also those of other owners in it.

    :raises InvalidInput: no pool is named
    """
    if not pool:
        raise InvalidInput("must specify target pool", field="pool")
    compute_pools.get(session, pool)
    query = _listed().where(Guest.pool == pool, Guest.state != "failed")
    if cell:
        query = query.where(Guest.cell == cell)
    query = query.where(_visible(owner, group))
    if running is not None:
        query = query.where(Guest.running == running)
    if created is not None:
        done = Guest.state.in_(("created", "deleting"))
        query = query.where(done if created else ~done)
    return _views(session, query.order_by(Guest.name))


def everyone(session: Session, pool: str, cell: str | None) -> list[GuestView]:
    """The guests of a pool, or of one of its cells, by name, whoever owns them."""
    query = _listed().where(Guest.pool == pool, Guest.state != "failed")
    if cell is not None:
        query = query.where(Guest.cell == cell)
    return _views(session, query.order_by(Guest.name))


def search_page(
    session: Session,
    *,
    pool: str,
    cell: str,
    keyword: str,
    owner: str,
    group: str | None,
    limit: int,
    offset: int,
) -> Page:
    """A page of the guests whose name or address has ``keyword`` in it, by name.

    :raises InvalidInput: a field is out of range, or the page begins behind the last that there is
    """
    limit = limit or _DEFAULT_LIMIT
    if not 1 <= limit <= _HIGHEST_LIMIT:
        raise InvalidInput(f"limit must be 1 to {_HIGHEST_LIMIT}, not {limit}", field="limit")
    conditions = [Guest.state != "failed", _visible(owner, group)]
    if pool:
        compute_pools.get(session, pool)
        conditions.append(Guest.pool == pool)
    if cell:
        conditions.append(Guest.cell == cell)
    if keyword:
        conditions.append(_mentions(keyword))
    total = session.scalar(select(func.count()).select_from(Guest).where(*conditions)) or 0
    # As in Nano: a page behind the last guest is a mistake, unless nothing was found at all.
    if offset < 0 or 0 < total <= offset:
        raise InvalidInput(f"unexpected offset {offset}: there are {total} guests", field="offset")
    # An index holds all that this looks at, in order: no row is read but those of the page.
    page = select(Guest.id).where(*conditions).order_by(Guest.name, Guest.id)
    ids = page.limit(limit).offset(offset).subquery()
    query = _listed().join(ids, ids.c.id == Guest.id).order_by(Guest.name, Guest.id)
    return Page(_views(session, query), total, limit, offset)


def _visible(owner: str, group: str | None) -> ColumnElement[bool]:
    mine = Guest.owner == owner
    return mine if group is None else or_(mine, Guest.group == group)


def _mentions(keyword: str) -> ColumnElement[bool]:
    if len(keyword) > _LONGEST_KEYWORD or any(letter.isspace() for letter in keyword):
        raise InvalidInput(
            f"keyword must be one word of at most {_LONGEST_KEYWORD} characters", field="keyword"
        )
    columns = (Guest.name, Guest.allocated_address, Guest.network_address)
    cells = select(Cell.name).where(Cell.address.icontains(keyword, autoescape=True))
    mentions = (column.icontains(keyword, autoescape=True) for column in columns)
    return or_(*mentions, Guest.cell.in_(cells))


#: What is told of the guests of a list. To make objects of them, with all that a guest has, would
#: take most of the time of a list of thousands.
_LISTED = (
    Guest.id,
    Guest.name,
    Guest.owner,
    Guest.group,
    Guest.pool,
    Guest.cell,
    Guest.cores,
    Guest.memory_bytes,
    Guest.disks,
    Guest.hardware,
    Guest.media_id,
    Guest.auto_start,
    Guest.limits,
    Guest.mac,
    Guest.allocated_address,
    Guest.network_address,
    Guest.display_port,
    Guest.state,
    Guest.running,
    Guest.created_at,
)


def _listed() -> Select[*tuple[Any, ...]]:
    columns = (*_LISTED, Cell.address, Cell.alive, Job.percent)
    return _with_surroundings(select(*columns))


def _with_surroundings(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    found = query.select_from(Guest).join(Cell, Cell.name == Guest.cell)
    return found.outerjoin(Job, Job.id == Guest.job_id)


def _views(session: Session, query: Select[*tuple[Any, ...]]) -> list[GuestView]:
    """A row has the guest's columns as attributes, as the guest itself has."""
    return [
        GuestView(cast(Guest, row), row.percent or 0, row.address, row.alive)
        for row in session.execute(query)
    ]
