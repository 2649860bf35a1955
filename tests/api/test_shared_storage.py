# SPDX-License-Identifier: Apache-2.0
"""Compute pools with shared storage on the wire: who has it, who may get guests, what jobs do."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from nano_api.cells import service as cells
from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.guests import allocation
from nano_api.jobs.progress import Failure
from nano_api.jobs.service import Requester
from nano_api.jobs.tables import Job
from nano_api.operations.base import Outcome
from nano_api.operations.cell_assign import CELL_ASSIGN, CELL_RELEASE
from nano_api.storage_pools import placement

OK = {"error_code": 0, "message": "", "data": ""}
GLUSTER = {"type": "glusterfs", "host": "192.0.2.5", "target": "/guests"}
FOUND = {
    "cores": 4,
    "memory_bytes": 8 << 30,
    "memory_available_bytes": 4 << 30,
    "cpu_usage_percent": 1.0,
    "disk_bytes": 50 << 30,
    "disk_available_bytes": 40 << 30,
    "pools": [
        {
            "name": "gl",
            "state": "active",
            "capacity_bytes": 900 << 30,
            "available_bytes": 800 << 30,
        }
    ],
}


@pytest.fixture
def cell(client: TestClient, cloud: Cloud) -> str:
    """A compute pool with shared storage, and a cell that may join it."""
    assert client.post("/storage_pools/gl", json=GLUSTER).json() == OK
    assert client.post("/compute_pools/p", json={"storage": "gl", "failover": True}).json() == OK
    with cloud.database.transaction() as session:
        session.add(Cell(name="c1", address="192.0.2.11", in_inventory=True, alive=True))
    return "c1"


def finish(cloud: Cloud, job_id: str, found: Any, failure: Failure | None = None) -> None:
    """What the worker does with what a run has observed."""
    with cloud.database.transaction() as session:
        job = session.get_one(Job, job_id)
        operation = CELL_ASSIGN if job.operation == "cell_assign" else CELL_RELEASE
        operation.apply(session, cloud, job, Outcome({"c1": {"cell": found}}, {}, failure))
        session.delete(job)


def join(cloud: Cloud, found: Any = FOUND, failure: Failure | None = None) -> None:
    with cloud.database.transaction() as session:
        job = cells.assign(session, "p", "c1", Requester("admin", ""))
        assert job.parameters["storage"] == {
            "name": "gl",
            "type": "glusterfs",
            "host": "192.0.2.5",
            "source": "guests",
        }
        assert CELL_ASSIGN.variables(session, cloud, job).variables == {
            "nano_storage_pool": job.parameters["storage"]
        }
        job_id = job.id
    finish(cloud, job_id, found, failure)


def test_a_cell_that_joined_has_the_storage_and_its_room(
    client: TestClient, cloud: Cloud, cell: str
) -> None:
    join(cloud)
    data = client.get(f"/compute_pool_cells/p/{cell}").json()["data"]
    assert data["storage"] == [{"name": "gl", "attached": True}]
    storages = client.get(f"/compute_cell_status/p/{cell}/storages/").json()["data"]
    assert storages == {
        "mode": "glusterfs",
        "system": ["192.0.2.5:guests"],
        "data": ["192.0.2.5:guests"],
    }
    with cloud.database.reading() as session:
        found = allocation.candidates(session, "p")
        assert [(each.name, each.disk_bytes) for each in found] == [("c1", 900 << 30)]
        assert placement.disk_pool(session, "p") == "gl"
        assert placement.disk_pool(session, "default") is None
    change = client.put("/compute_pools/p", json={"storage": ""}).json()
    assert change["message"] == "must remove all cells before change storage"
    used = client.delete("/storage_pools/gl").json()
    assert "is used by compute pool 'p'" in used["message"]


def test_a_cell_without_it_says_so_and_gets_no_guests(
    client: TestClient, cloud: Cloud, cell: str
) -> None:
    join(cloud)
    with cloud.database.transaction() as session:
        row = session.get_one(Cell, cell)
        row.storage_attached, row.storage_problem = False, "libvirt's pool gl is not active there"
    data = client.get(f"/compute_pool_cells/p/{cell}").json()["data"]
    problem = "libvirt's pool gl is not active there"
    assert data["storage"] == [{"name": "gl", "attached": False, "error": problem}]
    with cloud.database.reading() as session:
        assert allocation.candidates(session, "p") == []
    # Added once more it is given the storage; that it fails takes it out of no pool.
    join(cloud, {**FOUND, "pools": []}, Failure("unreachable", "GlusterFS server … no answer"))
    data = client.get(f"/compute_pool_cells/p/{cell}").json()["data"]
    assert data["storage"][0]["error"] == "GlusterFS server … no answer"
    client.put(f"/compute_pool_cells/p/{cell}", json={"enable": False})
    assert "storage" not in client.get(f"/compute_pool_cells/p/{cell}").json()["data"]


def test_a_cell_that_cannot_have_it_stays_outside(
    client: TestClient, cloud: Cloud, cell: str
) -> None:
    join(cloud, {**FOUND, "pools": []}, Failure("unreachable", "GlusterFS server … no answer"))
    names = [each["name"] for each in client.get("/compute_pool_cells/").json()["data"]]
    assert names == [cell]


def test_leaving_detaches_by_a_job(client: TestClient, cloud: Cloud, cell: str) -> None:
    join(cloud)
    with cloud.database.transaction() as session:
        job = cells.release(session, "p", cell, Requester("admin", ""))
        assert job is not None
        job_id = job.id
    # One that could not be detached stays in the pool.
    finish(cloud, job_id, FOUND, Failure("conflict", "pool gl is used by 1 guests"))
    assert client.get(f"/compute_pool_cells/p/{cell}").json()["data"]["storage"][0]["attached"]
    with cloud.database.transaction() as session:
        job = cells.release(session, "p", cell, Requester("admin", ""))
        assert job is not None
        job_id = job.id
    finish(cloud, job_id, {**FOUND, "pools": []})
    with cloud.database.reading() as session:
        row = session.get_one(Cell, cell)
        assert (row.pool, row.storage_attached, row.disk_bytes) == (None, False, 50 << 30)


def test_a_lost_cell_leaves_at_once(client: TestClient, cloud: Cloud, cell: str) -> None:
    join(cloud)
    with cloud.database.transaction() as session:
        session.get_one(Cell, cell).alive = False
    assert client.delete(f"/compute_pool_cells/p/{cell}").json() == OK
    with cloud.database.reading() as session:
        assert list(session.scalars(select(Job))) == []


def test_storage_stays_while_a_cell_joins(client: TestClient, cloud: Cloud, cell: str) -> None:
    with cloud.database.transaction() as session:
        cells.assign(session, "p", cell, Requester("admin", ""))
    busy = client.put("/compute_pools/p", json={"storage": ""}).json()
    assert f"cell '{cell}' joins it" in busy["message"]


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("default", GLUSTER, "every cell has a pool of its own of that name"),
        ("x", {**GLUSTER, "target": "a/b"}, "a GlusterFS volume's name"),
        ("x", {**GLUSTER, "type": "cifs"}, "use nfs or glusterfs"),
    ],
)
def test_what_cannot_be_a_storage_pool(
    client: TestClient, name: str, body: dict[str, Any], told: str
) -> None:
    reply = client.post(f"/storage_pools/{name}", json=body).json()
    assert told in reply["message"]
