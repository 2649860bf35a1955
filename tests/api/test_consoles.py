# SPDX-License-Identifier: Apache-2.0
"""The life of a console channel up to the cell; ``tests/e2e`` goes on from there."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.consoles.tables import ConsoleChannel
from nano_api.guests.tables import Guest
from tests.api.test_visibility import a_guest


@pytest.fixture
def guest(cloud: Cloud) -> str:
    """A guest that ran when it was last seen; nothing is there where its display should be."""
    with cloud.database.transaction() as session:
        session.add(Cell(name="c1", address="192.0.2.1", pool="default"))
        session.flush()
        row = a_guest(0, "admin", "admin")
        row.running, row.monitor_secret_sealed = True, cloud.secrets.seal("secret")
        session.add(row)
        return row.id


def open_channel(client: TestClient, guest: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/monitor_channels/", json={"guest": guest}).json()
    return answer


def refusal(client: TestClient, channel: str, **headers: str) -> str:
    path = f"/api/v1/monitor_channels/{channel}"
    refused = pytest.raises(WebSocketDenialResponse)
    with refused as error, client.websocket_connect(path, ["binary"], headers=headers):
        pass
    return str(json.loads(error.value.content)["message"])


def test_an_unknown_channel_is_refused(client: TestClient) -> None:
    assert refusal(client, "none-such") == "invalid channel 'none-such'"


def test_a_page_of_another_site_is_refused_and_uses_nothing_up(
    client: TestClient, cloud: Cloud, guest: str
) -> None:
    channel = open_channel(client, guest)["data"]["id"]
    assert "may not open consoles" in refusal(client, channel, origin="http://evil.example")
    with cloud.database.reading() as session:
        assert session.get(ConsoleChannel, channel)


def test_a_channel_ends_after_fifteen_seconds(client: TestClient, cloud: Cloud, guest: str) -> None:
    channel = open_channel(client, guest)["data"]
    assert (channel["protocol"], channel["password"]) == ("vnc", "secret")
    with cloud.database.transaction() as session:
        session.get_one(ConsoleChannel, channel["id"]).created_at = now() - timedelta(seconds=15.1)
    assert refusal(client, channel["id"]) == f"invalid channel '{channel['id']}'"


def test_a_stopped_guest_has_no_display(client: TestClient, cloud: Cloud, guest: str) -> None:
    with cloud.database.transaction() as session:
        session.get_one(Guest, guest).running = False
    answer = open_channel(client, guest)
    assert answer["error_code"] == 409
    assert answer["message"] == f"instance '{guest}' is stopped: start it first"
