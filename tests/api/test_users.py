# SPDX-License-Identifier: Apache-2.0
"""Accounts below the wire: who may exist, and how passwords are kept."""

from __future__ import annotations

import statistics
import time

import pytest

from nano_api.cloud import Cloud
from nano_api.errors import CloudError
from nano_api.users import passwords, service
from nano_api.users.passwords import hash_password, password_matches


@pytest.fixture(autouse=True)
def real_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those that cost nothing."""
    monkeypatch.setattr(passwords, "_hasher", passwords.new_hasher())


def test_a_password_is_kept_as_an_argon2id_hash_of_its_own() -> None:
    one, other = hash_password("Correct-horse-7"), hash_password("Correct-horse-7")
    assert one != other
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert password_matches(one, "Correct-horse-7")
    assert not password_matches(one, "correct-horse-7")
    assert not password_matches(None, "Correct-horse-7")


def test_a_damaged_hash_matches_nothing() -> None:
    assert not password_matches("$argon2id$v=19$m=19456,t=2,p=1$AAAA$AAAA", "Correct-horse-7")


def test_an_unknown_user_takes_as_long_as_a_wrong_password() -> None:
    stored = hash_password("Correct-horse-7")

    def median_seconds(stored_hash: str | None) -> float:
        times = []
        for _ in range(7):
            start = time.perf_counter()
            password_matches(stored_hash, "wrong")
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    assert 0.4 < median_seconds(None) / median_seconds(stored) < 2.5


def test_a_user_is_in_one_group_with_the_menus_of_all_its_roles(cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        assert not service.any_user(session)
        service.create_role(session, "b", ["log", "user"])
        service.create_role(session, "a", ["user", "media", "user"])
        service.create_group(session, "g", "Gruppe", ["b", "a", "b"])
        service.create_group(session, "h", "", [])
        service.create_user(session, "u", "hash", nick="Jürgen")
        service.join_group(session, "u", "g")
    with cloud.database.transaction() as session:
        assert service.any_user(session)
        assert service.menus_of(session, "g") == ["user", "media", "log"]
        assert service.menus_of(session, "h") == []
        assert service.group_of(session, "u") == "g"
        assert service.group_of(session, "nobody") is None
        with pytest.raises(CloudError, match="user 'u' already joined group 'g'"):
            service.join_group(session, "u", "h")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: service.create_role(s, "r", ["log"]), "role 'r' already exists"),
        (lambda s: service.create_group(s, "g", "", []), "group 'g' already exists"),
        (lambda s: service.create_group(s, "n", "", ["x"]), "invalid role 'x'"),
        (lambda s: service.create_user(s, "u", "hash"), "user 'u' already exists"),
        (lambda s: service.join_group(s, "x", "g"), "invalid user 'x'"),
        (lambda s: service.join_group(s, "u", "x"), "group 'x' not exists"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(cloud: Cloud, call: object, message: str) -> None:
    assert callable(call)
    with cloud.database.transaction() as session:
        service.create_role(session, "r", ["log"])
        service.create_group(session, "g", "", ["r"])
        service.create_user(session, "u", "hash")
    with (
        pytest.raises(CloudError, match=message),
        cloud.database.transaction() as session,
    ):
        call(session)
