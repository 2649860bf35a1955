# SPDX-License-Identifier: Apache-2.0
"""The first run."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

GOOD = {"user": "admin", "password": "Correct-horse-7", "menu": ["dashboard", "instance"]}


def test_an_empty_system_is_not_ready_and_tells_its_limits(anonymous: TestClient) -> None:
    reply = anonymous.get("/system/").json()
    assert reply["error_code"] == 0
    assert reply["data"] == {"ready": False, "max_cores": 24, "max_memory": 256, "max_disk": 1}


def test_the_first_account_makes_it_ready_and_is_the_only_one(anonymous: TestClient) -> None:
    first = anonymous.post("/system/", json=GOOD)
    assert first.status_code == 200
    assert first.json() == {"error_code": 0, "message": "", "data": ""}
    assert anonymous.get("/system").json()["data"]["ready"] is True

    second = anonymous.post("/system/", json={**GOOD, "user": "other"})
    assert second.status_code == 200
    assert second.json() == {"error_code": 409, "message": "system already initialed", "data": ""}


def test_of_many_at_once_one_becomes_administrator(anonymous: TestClient) -> None:
    together = threading.Barrier(6)

    def initialise(number: int) -> int:
        together.wait()
        body = {**GOOD, "user": f"admin{number}"}
        return int(anonymous.post("/system/", json=body).json()["error_code"])

    with ThreadPoolExecutor(6) as pool:
        codes = sorted(pool.map(initialise, range(6)))
    assert codes == [0, 409, 409, 409, 409, 409]


def test_names_of_group_and_role_can_be_chosen(anonymous: TestClient) -> None:
    body = {**GOOD, "group": "ops.team", "role": "all_menus", "display": "Betrieb Köln"}
    assert anonymous.post("/system/", json=body).json()["error_code"] == 0
    login = {"user": "admin", "password": GOOD["password"]}
    data = anonymous.post("/sessions/", json=login).json()["data"]
    assert (data["group"], data["menu"]) == ("ops.team", GOOD["menu"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user": ""}, "user required"),
        ({"user": None}, "user required"),
        ({"user": "ad min"}, "invalid user 'ad min'"),
        ({"user": "{{ lookup('pipe', 'touch /tmp/x') }}"}, "invalid user '{{ lookup("),
        ({"user": "a" * 65}, "invalid user"),
        ({"user": "admin\n"}, "invalid user"),
        ({"group": "a/b"}, "invalid group 'a/b'"),
        ({"role": "ä"}, "invalid role 'ä'"),
        ({"display": "two\nlines"}, "display contains a control character"),
        ({"menu": []}, "menu required"),
        ({"menu": "dashboard"}, "invalid value for 'menu'"),
        ({"menu": ["a b"]}, "invalid menu 'a b'"),
        ({"password": ""}, "password required"),
        ({"password": "Short-1"}, "length of password must >= 8"),
        ({"password": "Long-1" * 50}, "length of password must <= 256"),
        ({"password": "No-digit-here"}, "password must have a digit at least"),
        ({"password": "no-upper-7"}, "password must have an upper-case letter at least"),
        ({"password": "NO-LOWER-7"}, "password must have a lower-case letter at least"),
        ({"password": 12345678}, "invalid value for 'password'"),
    ],
)
def test_bad_input_names_the_field_and_makes_nothing(
    empty_client: TestClient, change: dict[str, Any], message: str
) -> None:
    reply = empty_client.post("/system/", json={**GOOD, **change})
    assert reply.status_code == 200
    assert reply.json()["error_code"] == 400
    assert message in reply.json()["message"]
    assert empty_client.get("/system/").json()["data"]["ready"] is False
