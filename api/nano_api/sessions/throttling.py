# SPDX-License-Identifier: Apache-2.0
"""Failed log-ins make the next ones wait: per account and per address, longer each time.

The counts stand in the database, so every process and a restart know them. Their number is
bounded: old ones go, and when there are too many the oldest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from nano_api.clock import now
from nano_api.errors import Busy
from nano_api.sessions.tables import FailedLogins

#: Without a failure for so long, the count begins anew.
_FORGET_AFTER = timedelta(minutes=30)
_MOST_COUNTS = 10_000
_LONGEST_SUBJECT = 64


@dataclass(frozen=True)
class _Rule:
    free: int  # failures that cost nothing
    longest_wait_seconds: int


# Many people may share an address, and a stranger must not lock an account for long.
_RULES = {"account": _Rule(5, 60), "address": _Rule(20, 900)}


def check(session: Session, *, account: str, address: str) -> None:
    """:raises Busy: the account or the address has to wait; says how long"""
    moment = now()
    for kind, subject in _subjects(account, address):
        row = session.get(FailedLogins, (kind, subject))
        if row is not None and row.blocked_until > moment:
            seconds = math.ceil((row.blocked_until - moment).total_seconds())
            raise Busy(
                f"too many failed log-ins for this {kind}; try again in {seconds} s",
                retry_after_seconds=seconds,
            )


def record(session: Session, *, account: str, address: str, succeeded: bool) -> None:
    """Count what a check of a password found.

    Of many guesses that were checked at the same time, those that end after the account was
    blocked are refused whatever they found.

    :raises Busy: the account or the address was blocked meanwhile
    """
    check(session, account=account, address=address)
    if succeeded:
        # The address keeps its count: else one's own account would be a way to guess others'.
        for kind, subject in _subjects(account, ""):
            session.execute(
                delete(FailedLogins).where(
                    FailedLogins.kind == kind, FailedLogins.subject == subject
                )
            )
        return
    moment = now()
    _sweep(session, moment)
    for kind, subject in _subjects(account, address):
        row = session.get(FailedLogins, (kind, subject))
        if row is None:
            row = FailedLogins(kind=kind, subject=subject, failures=0)
            session.add(row)
        row.failures += 1
        row.last_at = moment
        row.blocked_until = moment + _wait_of(_RULES[kind], row.failures)
    session.flush()


def _wait_of(rule: _Rule, failures: int) -> timedelta:
    beyond = failures - rule.free
    if beyond < 0:
        return timedelta(0)
    return timedelta(seconds=min(2.0 ** min(beyond, 30), rule.longest_wait_seconds))


def _subjects(account: str, address: str) -> list[tuple[str, str]]:
    found = []
    if 0 < len(account) <= _LONGEST_SUBJECT:  # a longer name is nobody's
        found.append(("account", account))
    if address:
        found.append(("address", address))
    return found


def _sweep(session: Session, moment: datetime) -> None:
    session.execute(delete(FailedLogins).where(FailedLogins.last_at < moment - _FORGET_AFTER))
    count = session.scalar(select(func.count()).select_from(FailedLogins)) or 0
    if count >= _MOST_COUNTS:
        oldest = select(FailedLogins.last_at).order_by(FailedLogins.last_at)
        border = session.scalar(oldest.offset(count - _MOST_COUNTS + _MOST_COUNTS // 10).limit(1))
        session.execute(delete(FailedLogins).where(FailedLogins.last_at < border))
