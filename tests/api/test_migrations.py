# SPDX-License-Identifier: Apache-2.0
"""Migrations that are refused at once: nobody need ask for the job to learn why."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.jobs.tables import Job
from tests.api.test_visibility import a_guest


@pytest.fixture(autouse=True)
def guest(cloud: Cloud) -> None:
    """One on c1, with a snapshot; c2 beside it."""
    with cloud.database.transaction() as session:
        for name in ("c1", "c2"):
            session.add(Cell(name=name, address="192.0.2.1", pool="default", alive=True))
        session.flush()
        guest = a_guest(1, "admin", "admin")
        guest.cell, guest.snapshots = "c1", [{"name": "clean"}]
        session.add(guest)


def migrate(client: TestClient, **body: Any) -> Any:
    body = {"source_pool": "default", "source_cell": "c1", "target_cell": "c2", **body}
    return client.post("/migrations/", json=body).json()


def test_snapshots_stay_with_a_cell_s_own_disks(client: TestClient, cloud: Cloud) -> None:
    found = migrate(client)
    assert "has snapshots, and its disks are not on shared storage" in found["message"]
    with cloud.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_a_pool_that_the_inventory_names_is_left_to_the_cells(
    client: TestClient, cloud: Cloud
) -> None:
    with cloud.database.transaction() as session:
        session.get_one(Cell, "c1").connection = {"cell_pool_name": "everywhere"}
    assert migrate(client)["error_code"] == 0


def test_without_snapshots_it_goes(client: TestClient, cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        session.scalars(select(Guest)).one().snapshots = []
    assert migrate(client)["error_code"] == 0
