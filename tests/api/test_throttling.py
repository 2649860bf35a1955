# SPDX-License-Identifier: Apache-2.0
"""Throttling of log-ins below the wire: growing waits, and a bounded table."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.errors import Busy
from nano_api.sessions import throttling
from nano_api.sessions.tables import FailedLogins


def fail(cloud: Cloud, account: str, address: str) -> FailedLogins:
    """One failure, as if the wait before it were over; the account's row after it."""
    with cloud.database.transaction() as session:
        for kind, subject in (("account", account), ("address", address)):
            row = session.get(FailedLogins, (kind, subject))
            if row:
                row.blocked_until = now() - timedelta(seconds=1)
        session.flush()
        throttling.record(session, account=account, address=address, succeeded=False)
        return session.get_one(FailedLogins, ("account", account))


def test_each_failure_makes_the_wait_longer_up_to_a_minute(cloud: Cloud) -> None:
    rows = [fail(cloud, "ann", f"192.0.2.{number}") for number in range(14)]
    waits = [round((row.blocked_until - row.last_at).total_seconds()) for row in rows]
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_an_address_that_tries_many_accounts_has_to_wait(cloud: Cloud) -> None:
    for number in range(25):
        fail(cloud, f"user{number}", "192.0.2.1")
    with cloud.database.reading() as session:
        with pytest.raises(Busy, match="too many failed log-ins for this address; try again in"):
            throttling.check(session, account="somebody", address="192.0.2.1")
        throttling.check(session, account="somebody", address="192.0.2.2")


def test_a_right_guess_that_was_checked_beside_wrong_ones_is_refused(cloud: Cloud) -> None:
    for _ in range(5):
        fail(cloud, "ann", "192.0.2.1")
    with (
        pytest.raises(Busy),
        cloud.database.transaction() as session,
    ):
        throttling.record(session, account="ann", address="192.0.2.9", succeeded=True)


def test_the_counts_are_few_and_old_ones_go(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "_MOST_COUNTS", 20)
    for number in range(60):
        fail(cloud, f"user{number}", "192.0.2.1")
    fail(cloud, "last", "192.0.2.1")
    with cloud.database.transaction() as session:
        count = session.scalar(select(func.count()).select_from(FailedLogins))
        assert count is not None
        assert count <= 21
        for row in session.scalars(select(FailedLogins)):
            row.last_at = now() - timedelta(minutes=31)
    fail(cloud, "new", "192.0.2.2")
    with cloud.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(FailedLogins)) == 2


def test_a_name_that_nobody_can_have_is_not_kept(cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        throttling.record(session, account="x" * 65, address="", succeeded=False)
        assert session.scalar(select(func.count()).select_from(FailedLogins)) == 0
