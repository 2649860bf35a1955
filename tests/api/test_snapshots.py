# SPDX-License-Identifier: Apache-2.0
"""Snapshots on the wire: the tree, and what is refused before a job is made."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.jobs.tables import Job
from tests.api.test_visibility import a_guest


def snapshot(name: str, backing: str | None, current: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"about {name}",
        "create_time": "2026-01-02T03:04:05Z",
        "backing": backing,
        "is_root": backing is None,
        "is_current": current,
        "running": False,
        "allocated_bytes": 1,
        "state": "ready",
    }


@pytest.fixture(autouse=True)
def guest(cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        session.add(Cell(name="c1", address="192.0.2.1", pool="default", alive=True))
        session.flush()
        row = a_guest(0, "admin", "admin")
        row.state = "created"
        row.snapshots = [snapshot("one", None), snapshot("two", "one", current=True)]
        session.add(row)


def test_the_tree(client: TestClient) -> None:
    assert client.get("/instances/g0/snapshots/").json()["data"] == {
        "one": {"is_root": True, "is_current": False},
        "two": {"is_root": False, "is_current": True, "backing": "one"},
    }
    found = client.get("/instances/g0/snapshots/two").json()["data"]
    assert (found["running"], found["description"]) == (False, "about two")
    assert found["create_time"].startswith("2026-01-0")
    assert client.get("/instances/g0/snapshots/three").json()["error_code"] == 404
    assert client.get("/instances/none/snapshots/").json()["error_code"] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "", {}, "name required"),
        ("POST", "", {"name": "one"}, "snapshot 'one' already exists"),
        ("POST", "", {"name": "a/b"}, "is not a snapshot's name"),
        ("POST", "", {"name": "x", "description": "x" * 300}, "description is longer"),
        ("POST", "", {"name": "x", "memory": True}, "has no memory to keep"),
        ("PUT", "", {}, "target required"),
        ("PUT", "", {"target": "three"}, "invalid snapshot 'three'"),
        ("DELETE", "three", None, "invalid snapshot 'three'"),
    ],
)
def test_what_is_refused(
    client: TestClient, cloud: Cloud, method: str, path: str, body: Any, message: str
) -> None:
    answer = client.request(method, f"/instances/g0/snapshots/{path}", json=body).json()
    assert message in answer["message"]
    assert answer["error_code"] in (400, 404, 409)
    with cloud.database.reading() as session:
        assert session.scalar(select(Job.id)) is None


def test_a_running_guest_is_not_thrown_back(client: TestClient, cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        session.get_one(Guest, "g0").running = True
    answer = client.put("/instances/g0/snapshots/", json={"target": "one"}).json()
    assert answer["message"].startswith("live snapshot not supported yes, shutdown instance first")
