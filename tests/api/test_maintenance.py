# SPDX-License-Identifier: Apache-2.0
"""Emptying a cell on the wire: who goes where, who stays and why, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.jobs import service as jobs
from nano_api.jobs.service import Requester, Subject
from tests.api.test_visibility import a_guest

GIB = 1 << 30


@pytest.fixture(autouse=True)
def cells(cloud: Cloud) -> None:
    """c1 with four guests; c2 and c3 with room for two of them each."""
    figures: dict[str, Any] = {
        "cores": 8,
        "memory_bytes": 4 * GIB,
        "memory_available_bytes": 2 * GIB,
        "disk_bytes": 100 * GIB,
        "disk_available_bytes": 100 * GIB,
    }
    with cloud.database.transaction() as session:
        for name in ("c1", "c2", "c3"):
            session.add(Cell(name=name, address="192.0.2.1", pool="default", alive=True, **figures))
        session.flush()
        for number in range(4):
            guest = a_guest(number, "admin", "admin")
            guest.cell, guest.memory_bytes = "c1", GIB
            session.add(guest)


def ids(cloud: Cloud) -> list[str]:
    with cloud.database.reading() as session:
        return [guest.id for guest in session.query(Guest).order_by(Guest.name)]


def call(client: TestClient, method: str, cell: str = "c1", **body: Any) -> Any:
    return client.request(method, f"/cells/{cell}/maintenance", json=body or None).json()


def test_each_guest_counts_for_the_next_one(client: TestClient, cloud: Cloud) -> None:
    reply = client.post("/cells/c1/maintenance")
    assert reply.status_code == 202
    found = reply.json()["data"]
    assert found["job"] == reply.headers["Nano-Job"]
    assert (found["enabled"], found["empty"]) == (False, False)
    assert all(guest["moving"] for guest in found["guests"])
    with cloud.database.reading() as session:
        job = jobs.get(session, found["job"])
    targets = sorted(each["cell"] for each in job.parameters["guests"])
    assert targets == ["c2", "c2", "c3", "c3"]
    assert sorted(job.cells) == ["c1", "c2", "c3"]
    assert client.get("/compute_pool_cells/default/c1").json()["data"]["enabled"] is False
    assert call(client, "DELETE")["error_code"] == 409


def test_what_cannot_move_stays_with_its_reason(client: TestClient, cloud: Cloud) -> None:
    first, second, third, _fourth = ids(cloud)
    with cloud.database.transaction() as session:
        session.get_one(Guest, first).memory_bytes = 3 * GIB
        session.get_one(Guest, third).snapshots = [{"name": "clean"}]
        subject = Subject("guest", second, "busy")
        jobs.submit(
            session, "guest_power", subject=subject, cells=["c1"], requester=Requester("a", "")
        )
    left = {guest["id"]: guest for guest in call(client, "POST")["data"]["guests"]}
    assert "no cell has enough memory" in left[first]["error"]
    assert "has snapshots" in left[third]["error"]
    assert "is busy: job" in left[second]["error"]
    assert [guest["moving"] for guest in left.values()].count(True) == 1


def test_nobody_can_move(client: TestClient, cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        for name in ("c2", "c3"):
            session.get_one(Cell, name).enabled = False
    found = call(client, "POST")["data"]
    assert "job" not in found
    assert all("no cell is alive and enabled" in guest["error"] for guest in found["guests"])
    assert call(client, "DELETE")["data"]["enabled"] is True


def test_an_empty_cell_and_back(client: TestClient) -> None:
    found = call(client, "POST", "c2")["data"]
    assert (found["empty"], found.get("job"), found["progress"]) == (True, None, 100)
    assert call(client, "GET", "c2")["data"] == found
    assert call(client, "DELETE", "c2")["data"]["enabled"] is True


def test_refusals(client: TestClient, cloud: Cloud) -> None:
    for method in ("GET", "POST", "DELETE"):
        reply = call(client, method, "none")
        assert (reply["error_code"], reply["message"]) == (404, "no cell 'none' in any pool")
    with cloud.database.transaction() as session:
        session.get_one(Cell, "c3").alive = False
    assert "does not answer" in call(client, "POST", "c3")["message"]
    assert client.get("/compute_pool_cells/default/c3").json()["data"]["enabled"] is True
    for target, code, message in (("c3", 409, "'c3' does not answer"), ("x", 404, "invalid cell")):
        reply = call(client, "POST", target_cell=target)
        assert (reply["error_code"], reply["data"]) == (code, "")
        assert message in reply["message"]
    assert client.get("/compute_pool_cells/default/c1").json()["data"]["enabled"] is True
