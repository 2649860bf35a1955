# SPDX-License-Identifier: Apache-2.0
"""Logging in, staying logged in, and being refused."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from nano_api.cloud import Cloud
from nano_api.sessions.tables import LoginSession
from nano_api.settings import Settings
from nano_api.users import service as users
from nano_api.users.names import PORTAL_MENUS
from nano_api.users.passwords import hash_password
from nano_api.users.tables import User
from tests.api.conftest import PASSWORD, log_in


@pytest.fixture
def short_lived(settings: Settings) -> Settings:
    """Sessions that are over after a second."""
    settings.session_timeout_seconds = 1
    return settings


def test_logging_in_tells_the_session_and_what_it_may_show(anonymous: TestClient) -> None:
    log_in(anonymous)
    body = {"user": "admin", "password": PASSWORD, "nonce": "x"}
    reply = anonymous.post("/sessions/", json=body)
    data = reply.json()["data"]
    assert uuid.UUID(data.pop("session")).version == 4
    assert data == {
        "group": "admin",
        "timeout": 180,
        "menu": list(PORTAL_MENUS),
        "address": "192.0.2.7",
    }


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("admin", "Wrong-horse-7"),
        ("nobody", PASSWORD),
        ("", ""),
        ("admin", ""),
        ("Admin", PASSWORD),
    ],
)
def test_a_wrong_name_and_a_wrong_password_look_the_same(
    shared_client: TestClient, user: str, password: str
) -> None:
    reply = shared_client.post("/sessions/", json={"user": user, "password": password})
    assert reply.status_code == 200
    assert reply.json() == {"error_code": 401, "message": "invalid user or password", "data": ""}


def test_a_user_without_a_group_cannot_log_in(client: TestClient, cloud: Cloud) -> None:
    password_hash = hash_password(PASSWORD)
    with cloud.database.transaction() as session:
        users.create_user(session, "loner", password_hash)
    reply = client.post("/sessions/", json={"user": "loner", "password": PASSWORD}).json()
    assert (reply["error_code"], reply["message"]) == (403, "loner not belongs to any group")


def test_requests_without_a_live_session_are_refused(anonymous: TestClient) -> None:
    for path in ("/sessions/", "/templates/", "/disk_image_search/", "/disk_images/x"):
        reply = anonymous.get(path)
        assert reply.status_code == 200
        assert reply.json()["error_code"] == 401
        assert reply.json()["message"] == "unauthenticated request"
    reply = anonymous.get("/sessions/", headers={"nano-session": "made-up"})
    assert reply.status_code == 200
    assert reply.json()["message"] == "invalid session 'made-up'"


def test_only_a_put_renews_a_session(short_lived: Settings, client: TestClient) -> None:
    assert short_lived.session_timeout_seconds == 1
    session_id = client.headers["Nano-Session"]
    begin = time.monotonic()
    while time.monotonic() - begin < 1.5:
        renewed = client.put(
            f"/sessions/{session_id}",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert renewed.json() == {"error_code": 0, "message": "", "data": ""}
        time.sleep(0.3)
    begin = time.monotonic()
    while client.get("/sessions/").json()["error_code"] == 0:  # used all the time, and yet
        assert time.monotonic() - begin < 2
        time.sleep(0.1)
    message = f"invalid session '{session_id}'"
    assert client.get("/sessions/").json()["message"] == message
    assert client.put(f"/sessions/{session_id}").json()["message"] == message


def test_a_session_that_is_over_is_forgotten(
    short_lived: Settings, client: TestClient, cloud: Cloud
) -> None:
    time.sleep(short_lived.session_timeout_seconds + 0.1)
    client.post("/sessions/", json={"user": "admin", "password": PASSWORD})
    with cloud.database.reading() as session:
        assert len(session.scalars(select(LoginSession)).all()) == 1


def test_sessions_are_listed_without_opening_a_door(client: TestClient, tmp_path: Path) -> None:
    session_id = client.headers["Nano-Session"]
    handles = client.get("/sessions/").json()["data"]
    assert len(handles) == 1
    assert session_id not in handles
    refused = client.get("/sessions/", headers={"Nano-Session": handles[0]}).json()
    assert refused["error_code"] == 401
    expected = {
        "user": "admin",
        "group": "admin",
        "timeout": 180,
        "menu": list(PORTAL_MENUS),
        "address": "192.0.2.7",
    }
    assert client.get(f"/sessions/{handles[0]}").json()["data"] == expected
    assert client.get(f"/sessions/{session_id}").json()["data"] == expected
    unknown = client.get("/sessions/nobody").json()
    assert (unknown["error_code"], unknown["message"]) == (404, "invalid session 'nobody'")
    for file in (tmp_path / "data").glob("nano.db*"):
        assert session_id.encode() not in file.read_bytes()


PROXIES = ["192.0.2.0/24", "2001:db8::7"]


@pytest.mark.parametrize(
    ("proxies", "headers", "address"),
    [
        ([], {}, "192.0.2.7"),
        ([], {"X-Forwarded-For": "203.0.113.9", "X-Real-Ip": "203.0.113.8"}, "192.0.2.7"),
        (["198.51.100.0/24"], {"X-Forwarded-For": "203.0.113.9"}, "192.0.2.7"),
        (PROXIES, {}, "192.0.2.7"),
        (PROXIES, {"X-Forwarded-For": "203.0.113.9"}, "203.0.113.9"),
        (PROXIES, {"X-Forwarded-For": "203.0.113.9, 198.51.100.2"}, "198.51.100.2"),
        (PROXIES, {"X-Forwarded-For": "203.0.113.9, 192.0.2.8, 2001:db8::7"}, "203.0.113.9"),
        (PROXIES, {"X-Forwarded-For": "203.0.113.9, unknown"}, "192.0.2.7"),
        (PROXIES, {"X-Forwarded-For": "203.0.113.9, unknown, 192.0.2.8"}, "192.0.2.8"),
        (PROXIES, {"X-Forwarded-For": "::ffff:203.0.113.9"}, "203.0.113.9"),
        (PROXIES, {"X-Real-Ip": "2001:db8::1"}, "2001:db8::1"),
        (PROXIES, {"X-Forwarded-For": "<script>"}, "192.0.2.7"),
    ],
)
def test_only_a_trusted_proxy_may_say_who_the_client_is(
    shared_settings: Settings,
    shared_client: TestClient,
    proxies: list[str],
    headers: dict[str, str],
    address: str,
) -> None:
    shared_settings.trusted_proxies = proxies
    body = {"user": "admin", "password": PASSWORD}
    data = shared_client.post("/sessions/", json=body, headers=headers).json()["data"]
    assert data["address"] == address


def test_an_unknown_address_is_left_out(app: FastAPI) -> None:
    with TestClient(app, base_url="http://cloud.test/api/v1", client=("pipe", 0)) as client:
        log_in(client)
        body = {"user": "admin", "password": PASSWORD}
        assert "address" not in client.post("/sessions/", json=body).json()["data"]


def test_a_session_survives_a_restart_and_dies_with_its_user(
    settings: Settings, client: TestClient, cloud: Cloud
) -> None:
    from nano_api.main import create_app

    headers = {"Nano-Session": client.headers["Nano-Session"]}
    with TestClient(create_app(settings, background=False)) as again:
        assert again.get("/api/v1/sessions/", headers=headers).json()["error_code"] == 0
    with cloud.database.transaction() as session:
        user = session.get(User, "admin")
        assert user is not None
        session.delete(user)
    assert client.get("/sessions/").json()["error_code"] == 401
