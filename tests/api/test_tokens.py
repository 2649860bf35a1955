# SPDX-License-Identifier: Apache-2.0
"""Tokens: made, used within their scope, revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.settings import Settings
from nano_api.tokens.tables import ApiToken
from tests.api.conftest import PASSWORD


@pytest.fixture
def cloud(shared_app: FastAPI) -> Cloud:
    found: Cloud = shared_app.state.cloud
    return found


def make(client: TestClient, name: str, menu: list[str], **more: Any) -> tuple[str, str]:
    """The new token's id and itself."""
    made = client.post("/tokens/", json={"name": name, "menu": menu, **more}).json()
    assert made["error_code"] == 0, made
    return made["data"]["id"], made["data"]["token"]


def code(
    client: TestClient, token: str, method: str, path: str, body: Any = None, *, nano: bool = False
) -> int:
    name, value = ("Nano-Session", token) if nano else ("Authorization", f"Bearer {token}")
    session = client.headers.pop("Nano-Session")
    try:
        reply = client.request(method, path, json=body, headers={name: value})
    finally:
        client.headers["Nano-Session"] = session
    assert reply.status_code == 200
    return int(reply.json()["error_code"])


def test_a_token_is_accepted_in_both_headers_within_its_scope(
    shared_client: TestClient,
) -> None:
    _id, token = make(shared_client, "backup", ["address_pool"])
    for nano in (False, True):
        assert code(shared_client, token, "GET", "/templates/", nano=nano) == 0
        assert code(shared_client, token, "DELETE", "/address_pools/x", nano=nano) == 404
        assert code(shared_client, token, "DELETE", "/compute_pools/x", nano=nano) == 403
        assert code(shared_client, token + "x", "GET", "/templates/", nano=nano) == 401


def test_a_token_makes_no_tokens_and_no_passwords(shared_client: TestClient) -> None:
    token_id, token = make(shared_client, "grabby", ["user"])
    body = {"name": "more", "menu": ["user"]}
    assert code(shared_client, token, "POST", "/tokens/", body) == 403
    assert code(shared_client, token, "GET", "/tokens/") == 403
    assert code(shared_client, token, "DELETE", f"/tokens/{token_id}") == 403
    passwords = {"old": PASSWORD, "new": "New-horse-8"}
    assert code(shared_client, token, "PUT", "/users/admin/password/", passwords) == 403
    assert code(shared_client, token, "GET", "/users/admin") == 0


def test_a_token_is_listed_with_its_last_use_and_told_once(
    shared_client: TestClient, cloud: Cloud
) -> None:
    token_id, token = make(shared_client, "listed", ["log", "log"], days=7)

    def shown() -> dict[str, Any]:
        listed = shared_client.get("/tokens/").json()["data"]
        assert token not in str(listed)
        return next(entry for entry in listed if entry["id"] == token_id)

    before = shown()
    assert (before["name"], before["menu"]) == ("listed", ["log"])
    assert set(before) == {"id", "name", "menu", "create_time", "expire_time"}
    assert code(shared_client, token, "GET", "/logs/") == 0
    assert shown()["last_used_from"] == "192.0.2.7"
    with cloud.database.transaction() as session:
        row = session.get_one(ApiToken, token_id)
        row.last_used_at = noted = now() - timedelta(seconds=30)
    assert code(shared_client, token, "GET", "/logs/") == 0
    with cloud.database.transaction() as session:
        row = session.get_one(ApiToken, token_id)
        assert row.last_used_at == noted  # not written for every request
        row.last_used_at = noted - timedelta(seconds=31)
    assert code(shared_client, token, "GET", "/logs/") == 0
    with cloud.database.reading() as session:
        used_at = session.get_one(ApiToken, token_id).last_used_at
        assert used_at is not None
        assert used_at > noted
    for file in cloud.settings.data.glob("nano.db*"):
        assert token.encode() not in file.read_bytes()


def test_a_revoked_and_an_old_token_are_worth_nothing(
    shared_client: TestClient, cloud: Cloud
) -> None:
    token_id, token = make(shared_client, "revoked", ["log"])
    assert shared_client.delete(f"/tokens/{token_id}").json()["error_code"] == 0
    assert code(shared_client, token, "GET", "/templates/") == 401
    assert shared_client.delete(f"/tokens/{token_id}").json()["error_code"] == 404
    token_id, token = make(shared_client, "old", ["log"], days=1)
    with cloud.database.transaction() as session:
        session.get_one(ApiToken, token_id).expires_at = now()
    assert code(shared_client, token, "GET", "/templates/") == 401


def test_a_token_never_has_more_than_its_user(
    shared_client: TestClient, shared_settings: Settings
) -> None:
    user = {"password": PASSWORD}
    for path, body in (
        ("/roles/bot", {"menu": ["log", "media"]}),
        ("/user_groups/bots", {"role": ["bot"]}),
        ("/users/bot", user),
        ("/user_groups/bots/members/bot", None),
    ):
        assert shared_client.post(path, json=body).json()["error_code"] == 0
    admin = shared_client.headers["Nano-Session"]
    opened = shared_client.post("/sessions/", json={"user": "bot", **user}).json()["data"]
    shared_client.headers["Nano-Session"] = opened["session"]
    try:
        too_much = shared_client.post("/tokens/", json={"name": "t", "menu": ["user"]}).json()
        assert (too_much["error_code"], too_much["message"]) == (
            403,
            "menu 'user' is not yours to give",
        )
        _id, token = make(shared_client, "t", ["log"])
        assert [row["name"] for row in shared_client.get("/tokens/").json()["data"]] == ["t"]
    finally:
        shared_client.headers["Nano-Session"] = admin
    assert code(shared_client, token, "GET", "/logs/") == 0
    shared_client.put("/roles/bot", json={"menu": ["media"]})
    assert code(shared_client, token, "GET", "/logs/") == 403
    shared_settings.authorization = "menu-only"
    try:
        assert code(shared_client, token, "GET", "/logs/") == 403  # a token's scope always counts
    finally:
        shared_settings.authorization = "enforced"
    assert shared_client.delete("/users/bot").json()["error_code"] == 0
    assert code(shared_client, token, "GET", "/templates/") == 401


def test_what_a_token_does_is_in_the_log_under_its_name(
    shared_client: TestClient, cloud: Cloud
) -> None:
    _id, token = make(shared_client, "robot", ["templates"])
    code(shared_client, token, "DELETE", "/templates/none")
    newest = shared_client.get("/logs/").json()["data"]["logs"][0]["content"]
    assert newest.startswith("admin.admin by token robot(192.0.2.7) : Delete a system template")
    with cloud.database.reading() as session:
        assert session.scalar(select(ApiToken.user).where(ApiToken.name == "robot")) == "admin"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "name required"),
        ({"name": "a b", "menu": ["log"]}, "invalid name 'a b'"),
        ({"name": "n"}, "menu required"),
        ({"name": "n", "menu": ["log"], "days": -1}, "days must be 0"),
        ({"name": "n", "menu": ["log"], "days": 3651}, "days must be 0"),
        ({"name": "n", "menu": ["nonsense"]}, "menu 'nonsense' is not yours to give"),
    ],
)
def test_bad_input_is_refused_by_name(
    shared_client: TestClient, body: dict[str, Any], message: str
) -> None:
    reply = shared_client.post("/tokens/", json=body).json()
    assert reply["error_code"] in (400, 403)
    assert message in reply["message"]
    make(shared_client, "twice", ["log"])
    again = shared_client.post("/tokens/", json={"name": "twice", "menu": ["log"]}).json()
    assert (again["error_code"], again["message"]) == (409, "token 'twice' already exists")
    listed = shared_client.get("/tokens/").json()["data"]
    shared_client.delete(f"/tokens/{next(t['id'] for t in listed if t['name'] == 'twice')}")
