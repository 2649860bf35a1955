# SPDX-License-Identifier: Apache-2.0
"""The operation log: written, read and cut. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from nano_api.clock import now
from nano_api.errors import InvalidInput, NotFound
from nano_api.logs.tables import LogCounter, LogEntry

from ansible_collections.nano.cloud.plugins.module_utils.names import check_text  # isort: skip

DEFAULT_LIMIT = 20
MOST_AT_ONCE = 100
MOST_COUNTED = 1000
MOST_DELETED_AT_ONCE = 1000
MAX_CONTENT_LENGTH = 4096

_STAMP = "%Y%m%d%H%M%S"
_WIRE = "%Y-%m-%d %H:%M:%S"
_ID_LENGTH = 17


def append(
    session: Session,
    content: str,
    *,
    source: Literal["server", "client"],
    user: str,
    address: str,
) -> LogEntry:
    """Write an entry.

    :raises InvalidInput: the content is missing, too long or has control characters
    """
    if not content.strip():
        raise InvalidInput("content required", field="content")
    check_text(content, "content", limit=MAX_CONTENT_LENGTH)
    moment = now().replace(microsecond=0)
    entry = LogEntry(
        id=_next_id(session, moment),
        at=moment,
        content=content,
        source=source,
        user=user,
        address=address,
    )
    session.add(entry)
    session.flush()
    return entry


def query(
    session: Session, *, limit: int, start: int, after: str, before: str
) -> tuple[list[LogEntry], int]:
    """The newest entries first, ``start`` of them skipped, and how many there are in all.

    :param limit: 1 to 100, anything else means 20
    :param after: ``YYYY-MM-DD HH:MM:SS`` local; "" for a day before ``before``
    :param before: the same; "" for now
    :returns: the entries and the count, which stops at 1000
    :raises InvalidInput: a time cannot be read, or ``start`` is negative
    """
    if start < 0:
        raise InvalidInput(f"start must be 0 or more, not {start}", field="start")
    end = _parsed(before, "before") if before else now()
    begin = _parsed(after, "after") if after else end - timedelta(days=1)
    if not 1 <= limit <= MOST_AT_ONCE:
        limit = DEFAULT_LIMIT
    inside = (LogEntry.at >= begin, LogEntry.at <= end)
    counted = select(LogEntry.id).where(*inside).limit(MOST_COUNTED).subquery()
    total = session.scalar(select(func.count()).select_from(counted)) or 0
    # What lies beyond the count cannot be paged to, as in Nano.
    limit = max(0, min(limit, MOST_COUNTED - start))
    rows = select(LogEntry).where(*inside).order_by(LogEntry.id.desc())
    return list(session.scalars(rows.offset(min(start, MOST_COUNTED)).limit(limit))), total


def remove(session: Session, ids: Sequence[str]) -> None:
    """Delete entries, all of them or none.

    :raises InvalidInput: none is named, or more than 1000
    :raises NotFound: one does not exist
    """
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        raise InvalidInput("entries required: name at least one id", field="entries")
    if len(wanted) > MOST_DELETED_AT_ONCE:
        raise InvalidInput(f"more than {MOST_DELETED_AT_ONCE} entries", field="entries")
    found = set(session.scalars(select(LogEntry.id).where(LogEntry.id.in_(wanted))))
    for entry_id in wanted:
        if entry_id not in found:
            raise NotFound(f"invalid log entry '{entry_id[:80]}'", entry=entry_id[:80])
    session.execute(delete(LogEntry).where(LogEntry.id.in_(wanted)))


def _parsed(text: str, field: str) -> datetime:
    try:
        return datetime.strptime(text, _WIRE).astimezone()
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"invalid {field} '{text[:40]}': use YYYY-MM-DD HH:MM:SS", field=field
        ) from None


def _next_id(session: Session, moment: datetime) -> str:
    """The moment with a number; when all numbers of a second are used, one of the next second.

    Ids only grow, also when the clock is set back.
    """
    counter = session.get(LogCounter, 1, with_for_update=True)
    if counter is None:
        counter = LogCounter(key=1, last_id="0" * _ID_LENGTH)
        session.add(counter)
    first = moment.astimezone().strftime(_STAMP) + "000"
    if counter.last_id < first:
        counter.last_id = first
    elif not counter.last_id.endswith("999"):
        counter.last_id = str(int(counter.last_id) + 1)
    else:
        second = datetime.strptime(counter.last_id[:14], _STAMP) + timedelta(seconds=1)
        counter.last_id = second.strftime(_STAMP) + "000"
    return counter.last_id
