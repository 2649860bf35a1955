# SPDX-License-Identifier: Apache-2.0
"""Status of zone, pools, cells and guests, against figures by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.compute_pools.tables import ComputePool
from nano_api.jobs import service as jobs
from nano_api.jobs.service import Requester, Subject
from nano_api.live.figures import CellNow, GuestFigures, HostFigures
from nano_api.live.rates import Speeds
from nano_api.storage_pools.tables import StoragePool
from tests.api.test_visibility import a_guest


def figures(
    cores: float, of: int, memory: tuple[int, int], disk: tuple[int, int], speed: int = 0
) -> Any:
    """``speed``: what is read; the others are fixed multiples of it."""
    return {
        "cpu_usage": cores,
        "max_cpu": of,
        "available_memory": memory[0],
        "max_memory": memory[1],
        "available_disk": disk[0],
        "max_disk": disk[1],
        "read_speed": speed,
        "write_speed": 2 * speed,
        "receive_speed": 3 * speed,
        "send_speed": 4 * speed,
    }


def a_look(cell: Cell, *speeds: int, age_seconds: float = 0) -> CellNow:
    """Figures as in the row, and guests with these speeds."""
    guests = {
        f"g{number}": GuestFigures("running", speeds=Speeds(each, 2 * each, 3 * each, 4 * each))
        for number, each in enumerate(speeds)
    }
    host = HostFigures(
        cell.cores,
        cell.cpu_usage_percent,
        cell.memory_bytes,
        cell.memory_available_bytes,
        cell.disk_bytes,
        cell.disk_available_bytes,
    )
    at = now() + timedelta(hours=1) if not age_seconds else now() - timedelta(seconds=age_seconds)
    return CellNow(at, host, cell.cores * cell.cpu_usage_percent / 100, guests)


def a_cell(name: str, pool: str | None, **changes: Any) -> Cell:
    values = {
        "alive": True,
        "cores": 8,
        "cpu_usage_percent": 25.0,
        "memory_bytes": 1000,
        "memory_available_bytes": 400,
        "disk_bytes": 5000,
        "disk_available_bytes": 3000,
        **changes,
    }
    return Cell(name=name, address=f"address-of-{name}", pool=pool, **values)


@pytest.fixture(scope="module")
def client(shared_app: FastAPI, shared_client: TestClient) -> TestClient:
    """Two pools; ``default`` has a live and a dead cell, ``off`` one cell, a cell is free."""
    cloud: Cloud = shared_app.state.cloud
    with cloud.database.transaction() as session:
        session.add(StoragePool(name="s", type="nfs", host="nfs.test", target="/x"))
        session.add(ComputePool(name="off", enabled=False, storage="s"))
        session.flush()
        session.add(a_cell("c1", "default"))
        session.add(a_cell("c2", "default", alive=False, connection={"cell_pool_path": "/srv/g/"}))
        session.add(a_cell("c3", "off", cores=4, cpu_usage_percent=12.5, enabled=False))
        cloud.live.observing(True)
        cloud.live.put("c1", a_look(a_cell("c1", "default"), 10, 5))
        cloud.live.put("c3", a_look(a_cell("c3", "off", cores=4, cpu_usage_percent=12.5), 1))
        session.add(a_cell("default", None))
        session.add(a_cell("free", None))
        session.flush()
        places = ("c1", "c1", "c1", "c2", "c3", "c1", "c1")
        for number, cell in enumerate(places):
            guest = a_guest(number, "other" if number == 1 else "admin", "team")
            guest.cell = cell
            guest.pool = "off" if cell == "c3" else "default"
            guest.running = number in (0, 1, 3, 5)
            guest.state = "creating" if number == 2 else "created"
            session.add(guest)
        session.flush()
        jobs.submit(
            session,
            "guest_migrate",
            subject=Subject("guest", "g5", "team.g5"),
            cells=["c1"],
            requester=Requester("admin", ""),
        )
    with cloud.database.transaction() as session:
        failed = a_guest(7, "admin", "team")
        failed.state = "failed"
        session.add(failed)
    return shared_client


def data(client: TestClient, path: str) -> Any:
    reply = client.get(path)
    assert reply.status_code == 200
    assert reply.json()["error_code"] == 0, reply.json()
    return reply.json()["data"]


C1 = {
    "name": "c1",
    "address": "address-of-c1",
    "enabled": True,
    "alive": True,
    "instances": [2, 2, 0, 1],
    **figures(2.0, 8, (400, 1000), (3000, 5000), 15),
}
C2 = {
    "name": "c2",
    "address": "address-of-c2",
    "enabled": True,
    "alive": False,
    "instances": [0, 0, 1, 0],
    **figures(0.0, 0, (0, 0), (0, 0)),
}
DEFAULT = {
    "name": "default",
    "enabled": True,
    "cells": [1, 1],
    "instances": [2, 2, 1, 1],
    **figures(2.0, 8, (400, 1000), (3000, 5000), 15),
}
OFF = {
    "name": "off",
    "enabled": False,
    "cells": [0, 1],
    "instances": [1, 0, 0, 0],
    **figures(0.5, 4, (400, 1000), (3000, 5000), 1),
}


def test_the_zone_is_the_sum_of_the_pools(client: TestClient) -> None:
    zone = data(client, "/compute_zone_status/")
    started = datetime.strptime(zone.pop("start_time"), "%Y-%m-%d %H:%M:%S")
    assert started <= datetime.now()
    assert zone == {
        "name": "default",
        "pools": [1, 1],
        "cells": [1, 2],
        "instances": [3, 2, 1, 1],
        **figures(2.5, 12, (800, 2000), (6000, 10000), 16),
    }


def test_pools_are_shown_one_and_all(client: TestClient) -> None:
    assert data(client, "/compute_pool_status/") == [DEFAULT, OFF]
    assert data(client, "/compute_pool_status/off") == OFF


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_name_is_a_pools_or_a_cells(client: TestClient, slash: str) -> None:
    assert data(client, f"/compute_cell_status/default{slash}") == [C1, C2]
    assert data(client, f"/compute_cell_status/c1{slash}") == C1
    assert data(client, f"/compute_cell_status/default/c2{slash}") == C2
    on_pool = [guest["id"] for guest in data(client, f"/instance_status/default{slash}")]
    assert on_pool == ["g0", "g1", "g2", "g3", "g5", "g6"]
    for path in ("/instance_status/c2", "/instance_status/default/c2"):
        (guest,) = data(client, path + slash)
        assert (guest["id"], guest["lost"], guest["cell"]) == ("g3", True, "c2")


def test_storage_paths_are_those_of_the_inventory(client: TestClient) -> None:
    expected = {
        "default/c1": ("local", "/var/lib/libvirt/images"),
        "default/c2": ("local", "/srv/g"),
        "off/c3": ("nfs", "nfs.test:/x"),
    }
    for cell, (mode, path) in expected.items():
        found = data(client, f"/compute_cell_status/{cell}/storages/")
        assert found == {"mode": mode, "system": [path], "data": [path]}


@pytest.mark.parametrize(
    ("cell", "body", "code", "message"),
    [
        ("default/c1", {}, 400, "default required"),
        ("default/c1", {"default": "x"}, 400, "is not an absolute path"),
        ("default/c2", {"default": "/srv/g/"}, 409, "no need to change storage path"),
        ("default/c1", {"default": "/srv"}, 409, "5 instance(s) left in cell 'c1'"),
        ("off/c3", {"default": "/srv"}, 409, "cell 'c3' uses shared storage"),
        ("default/c3", {"default": "/srv"}, 404, "no cell 'c3' in pool 'default'"),
    ],
)
def test_a_storage_path_is_not_changed_here(
    client: TestClient, cell: str, body: Any, code: int, message: str
) -> None:
    refused = client.put(f"/compute_cell_status/{cell}/storages/", json=body).json()
    assert refused["error_code"] == code
    assert message in refused["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/compute_pool_status/none",
        "/compute_cell_status/none",
        "/compute_cell_status/free",
        "/compute_cell_status/off/c1",
        "/compute_cell_status/none/c1/storages/",
        "/instance_status/none",
        "/instance_status/off/c1",
    ],
)
def test_what_is_not_there_is_named(client: TestClient, path: str) -> None:
    refused = client.get(path).json()
    assert refused["error_code"] == 404
    assert (
        "none" in refused["message"] or "c1" in refused["message"] or "free" in refused["message"]
    )


def test_figures_that_are_too_old_are_not_told_as_new(
    client: TestClient, shared_app: FastAPI
) -> None:
    cloud: Cloud = shared_app.state.cloud
    cell = a_cell("c1", "default", memory_available_bytes=999)
    fresh = a_look(a_cell("c1", "default"), 10, 5)
    try:
        cloud.live.put("c1", a_look(cell, 10, age_seconds=6))
        assert data(client, "/compute_cell_status/default/c1") == {
            **C1,
            **figures(2.0, 8, (400, 1000), (3000, 5000)),
            "stale": True,
        }
        assert data(client, "/compute_zone_status/")["stale"]
        assert data(client, "/instances/g0")["stale"]
    finally:
        cloud.live.put("c1", fresh)
    assert "stale" not in data(client, "/instances/g0")


def test_an_instance_has_its_own_figures(client: TestClient, shared_app: FastAPI) -> None:
    cloud: Cloud = shared_app.state.cloud
    fresh = a_look(a_cell("c1", "default"), 10, 5)
    guest = GuestFigures("running", 12.5, 1 << 20, 4096, 1000, 2000, 3000, 4000)
    try:
        cloud.live.put("c1", replace(fresh, guests={"g0": guest}))
        found = data(client, "/instances/g0")
        stopped = data(client, "/instances/g4")
    finally:
        cloud.live.put("c1", fresh)
    wanted = {
        "cpu_usage": 12.5,
        "memory_available": 1 << 20,
        "disk_available": 4096,
        "bytes_read": 1000,
        "bytes_written": 2000,
        "bytes_received": 3000,
        "bytes_sent": 4000,
    }
    assert {name: found[name] for name in wanted} == wanted
    assert {stopped[name] for name in wanted} == {0}
    assert "stale" not in stopped
