# SPDX-License-Identifier: Apache-2.0
"""The operation log: what clients write, what the server writes, and what never gets in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import delete, func, select

from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.logs import service
from nano_api.logs.tables import LogCounter, LogEntry
from tests.api.conftest import PASSWORD

OK = {"error_code": 0, "message": "", "data": ""}


@pytest.fixture
def cloud(shared_app: FastAPI) -> Cloud:
    found: Cloud = shared_app.state.cloud
    return found


@pytest.fixture
def client(shared_client: TestClient, cloud: Cloud) -> Iterator[TestClient]:
    """A logged-in client with an empty log."""
    shared_client.headers["X-Forwarded-For"] = "203.0.113.66"  # believed from nobody
    with cloud.database.transaction() as session:
        session.execute(delete(LogEntry))
    yield shared_client
    del shared_client.headers["X-Forwarded-For"]


def contents(client: TestClient, **query: Any) -> list[str]:
    data = client.get("/logs/", params=query).json()["data"]
    return [entry["content"] for entry in data["logs"]]


def wire(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def test_a_clients_entry_is_kept_with_who_really_wrote_it(client: TestClient) -> None:
    text = "admin.root(198.51.100.1) : created 'wéb' {{ 7*7 }}"
    assert client.post("/logs/", json={"format": "x", "content": text}).json() == OK
    data = client.get("/logs/").json()["data"]
    assert data["total"] == 1
    (entry,) = data["logs"]
    assert entry["content"] == text
    assert len(entry["id"]) == 17
    assert datetime.strptime(entry["id"][:14], "%Y%m%d%H%M%S") == datetime.strptime(
        entry["time"], "%Y-%m-%d %H:%M:%S"
    )
    assert (entry["source"], entry["user"], entry["address"]) == ("client", "admin", "192.0.2.7")


def test_the_newest_come_first_in_pages(client: TestClient, cloud: Cloud) -> None:
    for number in range(25):
        client.post("/logs/", json={"content": f"n{number}"})
    names = [f"n{number}" for number in reversed(range(25))]
    assert contents(client) == names[:20]
    assert contents(client, limit=101) == names[:20]
    assert contents(client, limit=0) == names[:20]
    assert contents(client, limit=100) == names
    assert contents(client, limit=3, start=10) == names[10:13]
    assert contents(client, start=25) == []
    assert client.get("/logs/?limit=3&start=10").json()["data"]["total"] == 25
    with cloud.database.reading() as session:
        ids = list(session.scalars(select(LogEntry.id)))
        assert len(set(ids)) == 25


def test_entries_are_found_by_time(client: TestClient, cloud: Cloud) -> None:
    ages = {"old": 30 * 3600, "day": 20 * 3600, "hour": 3600, "new": 0}
    with cloud.database.transaction() as session:
        for name, age in ages.items():
            entry = service.append(session, name, source="server", user="", address="")
            entry.at = entry.at - timedelta(seconds=age)
    moment = now()
    assert contents(client) == ["new", "hour", "day"]
    assert contents(client, after=wire(moment - timedelta(hours=31))) == [
        "new",
        "hour",
        "day",
        "old",
    ]
    assert contents(client, before=wire(moment - timedelta(minutes=30))) == ["hour", "day"]
    window = {
        "after": wire(moment - timedelta(hours=21)),
        "before": wire(moment - timedelta(hours=2)),
    }
    assert contents(client, **window) == ["day"]


def test_the_total_stops_at_a_thousand(client: TestClient, cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        session.add_all(
            LogEntry(
                id=f"{number:017}",
                at=now(),
                content=str(number),
                source="server",
                user="",
                address="",
            )
            for number in range(1010)
        )
    data = client.get("/logs/?start=990&limit=50").json()["data"]
    assert data["total"] == 1000
    assert [entry["content"] for entry in data["logs"]] == [str(n) for n in range(19, 9, -1)]
    assert contents(client, start=1000) == []


def test_entries_are_deleted_all_or_none(client: TestClient) -> None:
    for number in range(3):
        client.post("/logs/", json={"content": f"n{number}"})
    ids = [entry["id"] for entry in client.get("/logs/").json()["data"]["logs"]]
    refused = client.request("DELETE", "/logs/", json={"entries": [ids[0], "nonsense"]}).json()
    assert (refused["error_code"], refused["message"]) == (404, "invalid log entry 'nonsense'")
    assert client.request("DELETE", "/logs/", json={"entries": ids[:2]}).json() == OK
    left = contents(client)
    assert left[-1] == "n0"
    assert left[0].endswith("[DELETE /logs/]: done")  # the trace of the deletion itself
    assert "n1" not in left


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "/logs/", {}, "content required"),
        ("POST", "/logs/", {"content": " "}, "content required"),
        ("POST", "/logs/", {"content": "a\nb"}, "content contains a control character"),
        ("POST", "/logs/", {"content": "x" * 4097}, "content is longer than 4096"),
        ("POST", "/logs/", {"content": ["x"]}, "invalid value for 'content'"),
        ("DELETE", "/logs/", {}, "entries required"),
        ("DELETE", "/logs/", {"entries": "x"}, "invalid value for 'entries'"),
        ("DELETE", "/logs/", {"entries": [str(n) for n in range(1001)]}, "more than 1000"),
        ("GET", "/logs/?start=-1", None, "start must be 0 or more"),
        ("GET", "/logs/?limit=x", None, "invalid value for 'limit'"),
        ("GET", "/logs/?after=yesterday", None, "invalid after 'yesterday'"),
        ("GET", "/logs/?before=0001-01-01 00:00:00", None, ""),
        ("GET", "/logs/?before=2020-13-01 00:00:00", None, "invalid before '2020-13-01 00:00:00'"),
    ],
)
def test_bad_input_is_refused_by_name(
    client: TestClient, method: str, path: str, body: Any, message: str
) -> None:
    reply = client.request(method, path, json=body)
    assert reply.status_code == 200
    assert reply.json()["error_code"] == 400
    assert message in reply.json()["message"]


def test_ids_only_grow_however_the_clock_goes(cloud: Cloud) -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC).astimezone()
    stamp = noon.strftime("%Y%m%d%H%M%S")
    with cloud.database.transaction() as session:
        session.merge(LogCounter(key=1, last_id="0" * 17))
        session.flush()
        ids = [service._next_id(session, noon) for _ in range(1002)]
        back = service._next_id(session, noon - timedelta(hours=1))
        session.merge(LogCounter(key=1, last_id="0" * 17))
    assert ids[0] == f"{stamp}000"
    assert ids[999] == f"{stamp}999"
    assert ids[1000] == (noon + timedelta(seconds=1)).strftime("%Y%m%d%H%M%S") + "000"
    assert sorted(set(ids)) == ids
    assert back > ids[-1]


def test_every_change_leaves_an_entry(client: TestClient) -> None:
    client.post("/compute_pools/trail")
    client.post("/compute_pools/trail")
    client.request("DELETE", "/guests/nobody", json={})
    client.put("/resource_visibilities/", json={"instance_visible": 7})
    client.get("/compute_pools/")
    client.put(f"/sessions/{client.headers['Nano-Session']}")
    client.post("/nonsense")
    client.patch("/compute_pools/trail")
    login = client.post("/sessions/", json={"user": "admin", "password": PASSWORD})
    assert login.json()["error_code"] == 0
    who = "admin.admin(192.0.2.7) : "
    assert contents(client) == [
        f"{who}Log in [POST /sessions/]: done",
        f"{who}Change the resource visibility of the caller's group [PUT /resource_visibilities/]:"
        " refused (400): invalid value for 'instance_visible': input should be a valid boolean",
        f"{who}Delete guest [DELETE /guests/nobody]: refused (404): invalid guest 'nobody'",
        f"{who}Create compute pool [POST /compute_pools/trail]:"
        " refused (409): 'trail' alrady exists",
        f"{who}Create compute pool [POST /compute_pools/trail]: done",
    ]
    client.delete("/compute_pools/trail")


def test_a_failed_login_leaves_an_entry_and_a_stranger_no_other(client: TestClient) -> None:
    stranger = {"Nano-Session": "made-up"}
    client.post("/compute_pools/x", headers=stranger)
    client.post("/system/", json={}, headers=stranger)
    client.post("/sessions/", json={"user": 7}, headers=stranger)
    client.post("/sessions/", json={"user": "admin", "password": "canary-1"}, headers=stranger)
    assert contents(client) == [
        "unknown(192.0.2.7) : Log in [POST /sessions/]: refused (401): invalid user or password"
    ]


def test_no_secret_gets_into_the_log(client: TestClient, cloud: Cloud) -> None:
    canary = "Canary-5ecret"
    calls: list[tuple[str, str, Any]] = [
        ("POST", "/users/zoe", {"password": canary}),
        ("POST", "/users/zoe", {"password": canary}),
        ("POST", "/users/zoe?password=" + canary, {"password": [canary]}),
        ("PUT", "/users/zoe/password/", {"old": canary + "x", "new": canary}),
        ("PUT", "/users/zoe/password/", {"old": canary, "new": canary + "y"}),
        ("POST", "/sessions/", {"user": "zoe", "password": canary}),
        ("PUT", f"/sessions/{canary}", None),
        ("DELETE", "/users/zoe", None),
    ]
    for method, path, body in calls:
        client.request(method, path, json=body)
    with cloud.database.reading() as session:
        entries = list(session.scalars(select(LogEntry.content)))
    assert len(entries) == 7
    assert not [entry for entry in entries if canary in entry]


def test_a_hostile_path_stays_on_its_line(client: TestClient, cloud: Cloud) -> None:
    client.post("/compute_pools/a%0Ab%1b%5B31m%3Fx%E2%80%AE" + "y" * 500)
    with cloud.database.reading() as session:
        (content,) = session.scalars(select(LogEntry.content))
        assert session.scalar(select(func.count()).select_from(LogEntry)) == 1
    assert "[POST /compute_pools/a?b?[31m?x" in content
    assert content.isprintable()
