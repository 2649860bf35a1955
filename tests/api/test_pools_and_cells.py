# SPDX-License-Identifier: Apache-2.0
"""Compute pools and cells on the wire, and cells as the inventory has them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from nano_api.cells.inventory import read_inventory, store_cells
from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.errors import InvalidInput
from nano_api.jobs import service as jobs
from nano_api.jobs.service import SYSTEM, Requester, Subject
from nano_api.jobs.tables import Job

OK = {"error_code": 0, "message": "", "data": ""}


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.yml"
    path.write_text(
        "cells:\n"
        "  children:\n"
        "    rack1: {hosts: {c1: {ansible_host: 192.0.2.1, ansible_user: ops}}}\n"
        "    rack2: {hosts: {c2: {ansible_host: 192.0.2.2, ansible_password: canary}}}\n"
        "others: {hosts: {elsewhere: {}}}\n"
    )
    return path


@pytest.fixture
def cells(cloud: Cloud, inventory: Path) -> None:
    with cloud.database.transaction() as session:
        store_cells(session, read_inventory(inventory))


def call(client: TestClient, method: str, path: str, **options: Any) -> Any:
    reply = client.request(method, path, **options)
    assert reply.status_code == 200
    return reply.json()


def test_a_new_system_has_its_default_pool(client: TestClient) -> None:
    pool = {"name": "default", "enabled": True, "cells": 0, "storage": "", "network": ""}
    assert call(client, "GET", "/compute_pools/")["data"] == [{**pool, "failover": False}]
    assert call(client, "GET", "/compute_pools/default")["data"] == {**pool, "failover": False}


def test_a_pool_is_made_with_and_without_a_body(client: TestClient) -> None:
    assert call(client, "POST", "/compute_pools/p1") == OK
    assert call(client, "POST", "/compute_pools/p2", json={}) == OK
    names = [pool["name"] for pool in call(client, "GET", "/compute_pools/")["data"]]
    assert names == ["default", "p1", "p2"]
    assert call(client, "POST", "/compute_pools/p1")["message"] == "'p1' alrady exists"
    assert call(client, "DELETE", "/compute_pools/p1") == OK
    assert call(client, "GET", "/compute_pools/p1")["error_code"] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "/compute_pools/a b", {}, "invalid pool 'a b'"),
        ("POST", "/compute_pools/..", {}, ""),
        ("POST", "/compute_pools/p", {"failover": True}, "using shared storage"),
        ("POST", "/compute_pools/p", {"storage": "nfs1"}, "invalid storage pool 'nfs1'"),
        ("POST", "/compute_pools/p", {"network": 5}, "invalid value for 'network'"),
        ("PUT", "/compute_pools/default", {}, "no need to change"),
        ("PUT", "/compute_pools/none", {}, "invalid pool 'none'"),
        ("DELETE", "/compute_pools/none", None, "invalid pool 'none'"),
        ("POST", "/compute_pool_cells/none/c1", None, "invalid pool 'none'"),
        ("POST", "/compute_pool_cells/default/cx", None, "no cell 'cx': add it to the group"),
        ("PUT", "/compute_pool_cells/default/c1", {}, "no cell 'c1' in pool 'default'"),
        ("DELETE", "/compute_pool_cells/default/c1", None, "no cell 'c1' in pool 'default'"),
    ],
)
@pytest.mark.usefixtures("cells")
def test_what_cannot_be_is_refused_by_name(
    client: TestClient, cloud: Cloud, method: str, path: str, body: Any, message: str
) -> None:
    envelope = client.request(method, path, json=body).json()
    assert envelope["error_code"] in (400, 404, 409)
    assert message in envelope["message"]
    with cloud.database.reading() as session:
        assert list(session.scalars(select(Job))) == []
    assert len(call(client, "GET", "/compute_pools/")["data"]) == 1


@pytest.mark.usefixtures("cells")
def test_cells_come_from_the_inventory(client: TestClient) -> None:
    listed = call(client, "GET", "/compute_pool_cells/")["data"]
    assert listed == [
        {"name": "c1", "address": "192.0.2.1", "enabled": True, "alive": False},
        {"name": "c2", "address": "192.0.2.2", "enabled": True, "alive": False},
    ]


@pytest.mark.usefixtures("cells")
def test_a_password_of_the_inventory_is_not_stored(cloud: Cloud) -> None:
    for file in cloud.settings.data.glob("nano.db*"):
        assert b"canary" not in file.read_bytes()


@pytest.mark.usefixtures("cells")
def test_a_cell_that_left_the_inventory_is_listed_no_more(
    client: TestClient, cloud: Cloud, inventory: Path
) -> None:
    inventory.write_text("cells: {hosts: {c1: {ansible_host: 192.0.2.9}}}\n")
    with cloud.database.transaction() as session:
        store_cells(session, read_inventory(inventory))
    listed = call(client, "GET", "/compute_pool_cells/")["data"]
    assert [(cell["name"], cell["address"]) for cell in listed] == [("c1", "192.0.2.9")]


@pytest.mark.usefixtures("cells")
def test_a_cell_of_a_pool_is_switched_and_released(client: TestClient, cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        session.get_one(Cell, "c1").pool = "default"
    assert call(client, "GET", "/compute_pools/default")["data"]["cells"] == 1
    assert call(client, "DELETE", "/compute_pools/default")["message"].startswith("1 cell(s) left")
    path = "/compute_pool_cells/default/c1"
    again = call(client, "PUT", path, json={"enable": True})
    assert again["message"] == "cell 'c1' already enabled"
    assert call(client, "PUT", path, json={"enable": False}) == OK
    assert call(client, "GET", path)["data"]["enabled"] is False
    assert call(client, "POST", path)["message"] == "cell 'c1' already in pool 'default'"
    assert call(client, "DELETE", path) == OK
    assert call(client, "GET", "/compute_pool_cells/default")["data"] == []


@pytest.mark.usefixtures("cells")
def test_what_the_system_does_with_a_cell_is_waited_for(client: TestClient, cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        session.get_one(Cell, "c1").pool = "default"
    path = "/compute_pool_cells/default/c1"
    lease = begin_job(cloud, SYSTEM)
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(call, client, "DELETE", path)
        time.sleep(0.5)
        assert not asked.done()
        end_job(cloud, lease)
        assert asked.result(timeout=20) == OK
    # One that somebody asked for is not; over a local socket nobody has an address.
    for address in ("192.0.2.7", ""):
        theirs = begin_job(cloud, Requester("admin", address))
        assert call(client, "POST", path)["message"].startswith(f"cell 'c1' is busy: job {theirs}")
        end_job(cloud, theirs)
    begin_job(cloud, SYSTEM)
    cloud.settings.job_wait_seconds = 0.3
    assert call(client, "POST", path)["error_code"] == 409


def begin_job(cloud: Cloud, requester: Requester) -> str:
    """A job about the cell c1 that stays queued."""
    about = Subject("cell", "c1", "c1")
    with cloud.database.transaction() as session:
        job = jobs.submit(session, "cell_lease", subject=about, cells=["c1"], requester=requester)
        return job.id


def end_job(cloud: Cloud, job_id: str) -> None:
    with cloud.database.transaction() as session:
        jobs.finish(session, jobs.get(session, job_id), "succeeded")


def test_an_inventory_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text("cells: [not, hosts\n")
    with pytest.raises(InvalidInput, match=r"inventory '.*hosts.yml' cannot be read"):
        read_inventory(path)
