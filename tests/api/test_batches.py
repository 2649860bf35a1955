# SPDX-License-Identifier: Apache-2.0
"""Batches on the wire: what is refused before a job is made, and what a batch tells of itself."""

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

MIB, GIB = 1 << 20, 1 << 30
ORDER = {
    "name_rule": "order",
    "name_prefix": "node",
    "count": 3,
    "owner": "admin",
    "group": "admin",
    "pool": "default",
    "cores": 1,
    "memory": 64 * MIB,
    "disks": [64 * MIB],
    "template": "centos-7",
}


@pytest.fixture(autouse=True)
def cells(cloud: Cloud) -> None:
    """Two cells with room, and two guests of the caller."""
    figures: dict[str, Any] = {
        "cores": 8,
        "memory_bytes": 8 * GIB,
        "memory_available_bytes": 8 * GIB,
        "disk_bytes": 100 * GIB,
        "disk_available_bytes": 100 * GIB,
    }
    with cloud.database.transaction() as session:
        for name in ("c1", "c2"):
            session.add(Cell(name=name, address="192.0.2.1", pool="default", alive=True, **figures))
        session.flush()
        session.add_all([a_guest(0, "admin", "admin"), a_guest(1, "other", "elsewhere")])


def post(client: TestClient, kind: str, **body: Any) -> Any:
    return client.post(f"/batch/{kind}_guest/", json=body)


def jobs(cloud: Cloud) -> list[Job]:
    with cloud.database.reading() as session:
        return list(session.scalars(select(Job)))


def test_a_batch_is_one_job_over_many_cells(client: TestClient, cloud: Cloud) -> None:
    begun = post(client, "create", **{**ORDER, "memory": 3 * GIB})
    assert begun.status_code == 202
    batch = begun.json()["data"]["id"]
    (job,) = jobs(cloud)
    assert begun.headers["nano-job"] == batch == job.id
    assert sorted(job.cells) == ["c1", "c2"]
    state = client.get(f"/batch/create_guest/{batch}")
    assert state.status_code == 202
    assert [item["name"] for item in state.json()["data"]] == [f"admin.node_{n}" for n in range(3)]
    assert {item["status"] for item in state.json()["data"]} == {"creating"}
    guest = state.json()["data"][0]["id"]
    assert client.get(f"/guests/{guest}").status_code == 201
    busy = client.delete(f"/guests/{guest}").json()
    assert "is busy: job" in busy["message"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name_rule": "MAC"}, "invalid name rule 'MAC'"),
        ({"name_rule": ""}, "invalid name rule ''"),
        ({"name_prefix": ""}, "name prefix required"),
        ({"name_prefix": "a.b"}, "name"),
        ({"count": 0}, "count must be 1 to 100"),
        ({"count": 101}, "count must be 1 to 100"),
        ({"count": "3"}, "invalid value for 'count'"),
        ({"pool": "none"}, "none"),
        ({"memory": 1}, "memory must be"),
        ({"memory": 7 * GIB}, "no cell has enough memory"),
        ({"disks": []}, "must specify disk size"),
    ],
)
def test_all_are_placed_or_none(
    client: TestClient, cloud: Cloud, change: dict[str, Any], message: str
) -> None:
    answer = post(client, "create", **{**ORDER, **change})
    assert answer.status_code == 200
    assert message in answer.json()["message"]
    assert jobs(cloud) == []
    with cloud.database.reading() as session:
        assert session.scalar(select(Guest.id).where(Guest.name.like("admin.node%"))) is None


@pytest.mark.parametrize("kind", ["delete", "stop"])
def test_unknown_guests_are_refused_by_name(client: TestClient, cloud: Cloud, kind: str) -> None:
    answer = post(client, kind, guest=["g0", "none-such"]).json()
    assert answer["message"] == "invalid guest 'none-such'"
    assert "1 to 100" in post(client, kind).json()["message"]
    assert "1 to 100" in post(client, kind, guest=["g0"] * 2000).json()["message"]
    assert jobs(cloud) == []


@pytest.mark.parametrize(("kind", "word"), [("delete", "deleting"), ("stop", "stopping")])
def test_both_names_of_the_list_count(client: TestClient, kind: str, word: str) -> None:
    batch = post(client, kind, guests=["g0"]).json()["data"]["id"]
    (item,) = client.get(f"/batch/{kind}_guest/{batch}").json()["data"]
    assert (item["id"], item["status"]) == ("g0", word)
    other = "stop" if kind == "delete" else "delete"
    unknown = client.get(f"/batch/{other}_guest/{batch}").json()
    assert unknown["error_code"] == 404


def test_a_guest_that_is_busy_is_named(client: TestClient) -> None:
    post(client, "stop", guest=["g0"])
    again = post(client, "delete", guest=["g0", "g1"]).json()
    assert again["error_code"] == 409
    assert "is busy: job" in again["message"]
