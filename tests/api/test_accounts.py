# SPDX-License-Identifier: Apache-2.0
"""Roles, groups, users and passwords on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete

from nano_api.cloud import Cloud
from nano_api.sessions.tables import FailedLogins
from tests.api.conftest import PASSWORD

OK = {"error_code": 0, "message": "", "data": ""}
Call = Callable[..., Any]


@pytest.fixture
def call(shared_client: TestClient) -> Call:
    def request(method: str, path: str, body: Any = None, **options: Any) -> Any:
        reply = shared_client.request(method, path, json=body, **options)
        assert reply.status_code == 200
        return reply.json()

    return request


def make_user(call: Call, user: str, group: str, menu: list[str]) -> None:
    assert call("POST", f"/roles/{group}-role", {"menu": menu}) == OK
    assert call("POST", f"/user_groups/{group}", {"display": "", "role": [f"{group}-role"]}) == OK
    assert call("POST", f"/users/{user}", {"password": PASSWORD}) == OK
    assert call("POST", f"/user_groups/{group}/members/{user}") == OK


def log_in_as(call: Call, user: str, password: str = PASSWORD) -> dict[str, str]:
    opened = call("POST", "/sessions/", {"user": user, "password": password})
    return {"Nano-Session": opened["data"]["session"]}


def test_a_role_is_made_changed_and_deleted(call: Call) -> None:
    assert call("POST", "/roles/auditor", {"menu": ["log", "dashboard", "log"]}) == OK
    assert call("GET", "/roles/")["data"] == ["auditor", "super"]
    assert call("GET", "/roles/auditor")["data"] == {"menu": ["log", "dashboard"]}
    assert call("PUT", "/roles/auditor", {"menu": ["log"]}) == OK
    assert call("GET", "/roles/auditor")["data"] == {"menu": ["log"]}
    assert call("DELETE", "/roles/auditor") == OK
    assert call("GET", "/roles/auditor")["message"] == "role 'auditor' not exists"


def test_a_group_is_made_filled_changed_and_deleted(call: Call) -> None:
    assert call("POST", "/roles/viewer", {"menu": ["dashboard"]}) == OK
    assert call("POST", "/user_groups/team", {"display": "Köln", "role": ["viewer"]}) == OK
    assert call("POST", "/users/ann", {"password": PASSWORD, "nick": "A.", "mail": "a@b.c"}) == OK
    assert call("GET", "/user_search/")["data"] == ["ann"]
    assert call("POST", "/user_groups/team/members/ann") == OK
    team = {"name": "team", "display": "Köln", "role": ["viewer"], "member": ["ann"]}
    assert call("GET", "/user_groups/team")["data"] == team
    assert {"name": "team", "display": "Köln", "member": 1} in call("GET", "/user_groups/")["data"]
    for path in (
        "/user_groups/team/members/",
        "/user_groups/members/?group=team",
        "/user_search/?group=team",
    ):
        assert call("GET", path)["data"] == ["ann"]
    assert call("GET", "/user_search/")["data"] == []

    in_use = {
        "/roles/viewer": "role 'viewer' attached with group 'team'",
        "/user_groups/team": "member 'ann' attached with group 'team'",
    }
    for path, message in in_use.items():
        assert call("DELETE", path) == {"error_code": 409, "message": message, "data": ""}
    again = call("POST", "/user_groups/admin/members/ann")["message"]
    assert again == "user 'ann' already joined group 'team'"

    assert call("PUT", "/user_groups/team", {"display": "Bonn"}) == OK
    assert call("GET", "/user_groups/team")["data"] == {
        "name": "team",
        "display": "Bonn",
        "member": ["ann"],
    }
    assert call("DELETE", "/user_groups/team/members/ann") == OK
    assert call("DELETE", "/user_groups/team/members/ann")["error_code"] == 404
    for path in ("/user_groups/team", "/roles/viewer", "/users/ann"):
        assert call("DELETE", path) == OK


def test_a_user_is_made_changed_and_deleted(call: Call) -> None:
    assert call("POST", "/users/bob", {"password": PASSWORD}) == OK
    assert call("GET", "/users/bob")["data"] == {"name": "bob"}
    assert call("PUT", "/users/bob", {"nick": "Bo", "mail": "bo@b.c"}) == OK
    assert call("PUT", "/users/bob", {"nick": ""}) == OK
    assert call("GET", "/users/bob")["data"] == {"name": "bob", "nick": "Bo", "mail": "bo@b.c"}
    assert call("GET", "/users/")["data"] == ["admin", "bob"]
    assert call("DELETE", "/users/bob") == OK
    assert call("GET", "/users/bob")["message"] == "invalid user 'bob'"


def test_a_user_who_leaves_loses_group_and_sessions(call: Call) -> None:
    make_user(call, "cat", "cats", ["log"])
    header = log_in_as(call, "cat")
    assert call("GET", "/templates/", headers=header)["error_code"] == 0
    assert call("DELETE", "/user_groups/cats/members/cat") == OK
    outside = call("GET", "/templates/", headers=header)
    assert (outside["error_code"], outside["message"]) == (403, "cat not belongs to any group")
    assert call("POST", "/user_groups/cats/members/cat") == OK
    assert call("GET", "/templates/", headers=header)["error_code"] == 0
    assert call("DELETE", "/users/cat") == OK
    assert call("GET", "/templates/", headers=header)["error_code"] == 401
    assert call("GET", "/user_groups/cats/members/")["data"] == []


def test_what_a_session_may_use_follows_its_role(call: Call) -> None:
    make_user(call, "dan", "dans", ["log"])
    header = log_in_as(call, "dan")
    session_path = f"/sessions/{header['Nano-Session']}"
    assert call("GET", session_path)["data"]["menu"] == ["log"]
    assert call("PUT", "/roles/dans-role", {"menu": ["image", "media"]}) == OK
    assert call("GET", session_path)["data"]["menu"] == ["image", "media"]


def test_a_new_password_ends_all_sessions_of_the_user(call: Call) -> None:
    make_user(call, "eve", "eves", ["log"])
    headers = [log_in_as(call, "eve") for _ in range(2)]
    path = "/users/eve/password/"
    wrong = call("PUT", path, {"old": "Wrong-1234", "new": "New-horse-8"}, headers=headers[0])
    assert (wrong["error_code"], wrong["message"]) == (
        403,
        "the old password of user 'eve' is wrong",
    )
    weak = call("PUT", path, {"old": PASSWORD, "new": "short"}, headers=headers[0])
    assert weak["message"] == "length of password must >= 8"
    assert call("GET", "/templates/", headers=headers[1])["error_code"] == 0

    assert call("PUT", path, {"old": PASSWORD, "new": "New-horse-8"}, headers=headers[0]) == OK
    for header in headers:
        assert call("GET", "/templates/", headers=header)["error_code"] == 401
    assert call("GET", "/templates/")["error_code"] == 0  # somebody else's goes on
    assert call("POST", "/sessions/", {"user": "eve", "password": PASSWORD})["error_code"] == 401
    assert log_in_as(call, "eve", "New-horse-8")


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "message"),
    [
        ("POST", "/roles/r", {}, 400, "menu required"),
        ("POST", "/roles/super", {"menu": ["log"]}, 409, "role 'super' already exists"),
        ("POST", "/roles/a b", {"menu": ["log"]}, 400, "invalid role 'a b'"),
        ("PUT", "/roles/none", {"menu": ["log"]}, 404, "role 'none' not exists"),
        ("PUT", "/roles/super", {"menu": ["log"]}, 409, "nobody would be left"),
        ("DELETE", "/roles/none", None, 404, "role 'none' not exists"),
        ("GET", "/user_groups/none", None, 404, "group 'none' not exists"),
        ("POST", "/user_groups/g", {"role": ["none"]}, 400, "invalid role 'none'"),
        ("POST", "/user_groups/members", {}, 400, "invalid group 'members'"),
        ("PUT", "/user_groups/admin", {"role": []}, 409, "nobody would be left"),
        ("PUT", "/user_groups/none", {}, 404, "group 'none' not exists"),
        ("DELETE", "/user_groups/admin", None, 409, "member 'admin' attached"),
        ("GET", "/user_groups/members/", None, 400, "group required"),
        ("GET", "/user_groups/members/?group=none", None, 404, "group 'none' not exists"),
        ("GET", "/user_search/?group=none", None, 404, "group 'none' not exists"),
        ("POST", "/user_groups/none/members/admin", None, 404, "group 'none' not exists"),
        ("POST", "/user_groups/admin/members/none", None, 404, "invalid user 'none'"),
        ("DELETE", "/user_groups/admin/members/admin", None, 409, "nobody would be left"),
        ("DELETE", "/users/admin", None, 409, ""),
        ("POST", "/users/u", {}, 400, "password required"),
        ("POST", "/users/u", {"password": "x"}, 400, "length of password"),
        ("POST", "/users/ä", {"password": PASSWORD}, 400, "invalid user 'ä'"),
        ("POST", "/users/admin", {"password": PASSWORD}, 409, "user 'admin' already exists"),
        ("POST", "/users/u", {"password": PASSWORD, "nick": "a\nb"}, 400, "nick contains"),
        ("PUT", "/users/none", {"nick": "x"}, 404, "invalid user 'none'"),
        ("PUT", "/users/admin", {"mail": "\x00"}, 400, "mail contains"),
        ("DELETE", "/users/none", None, 404, "invalid user 'none'"),
        ("PUT", "/users/none/password/", {"old": "a", "new": "b"}, 404, "invalid user 'none'"),
        ("PUT", "/users/admin/password/", {"old": 5}, 400, "invalid value for 'old'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    call: Call, method: str, path: str, body: Any, code: int, message: str
) -> None:
    def accounts() -> list[Any]:
        paths = ("/roles/", "/roles/super", "/user_groups/", "/user_groups/admin", "/users/")
        return [call("GET", path)["data"] for path in paths]

    before = accounts()
    envelope = call(method, path, body)
    assert envelope["error_code"] == code, envelope
    assert message in envelope["message"]
    assert accounts() == before


def test_an_account_that_was_guessed_at_has_to_wait(call: Call, shared_app: Any) -> None:
    cloud: Cloud = shared_app.state.cloud
    make_user(call, "fay", "fays", ["log"])
    body = {"user": "fay", "password": "Wrong-1234"}
    messages = [call("POST", "/sessions/", body)["message"] for _ in range(5)]
    assert messages == ["invalid user or password"] * 5
    blocked = call("POST", "/sessions/", {"user": "fay", "password": PASSWORD})
    assert blocked["error_code"] == 409
    assert blocked["message"] == "too many failed log-ins for this account; try again in 1 s"
    by_change = call("PUT", "/users/fay/password/", {"old": PASSWORD, "new": "New-horse-8"})
    assert by_change["message"].startswith("too many failed log-ins")
    assert log_in_as(call, "admin")  # another account from the same address
    with cloud.database.transaction() as session:
        session.get_one(FailedLogins, ("account", "fay")).blocked_until = session.get_one(
            FailedLogins, ("account", "fay")
        ).last_at
    assert log_in_as(call, "fay")
    with cloud.database.transaction() as session:
        assert session.get(FailedLogins, ("account", "fay")) is None
        assert session.get_one(FailedLogins, ("address", "192.0.2.7")).failures >= 5
        session.execute(delete(FailedLogins))
