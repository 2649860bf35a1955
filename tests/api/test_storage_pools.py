# SPDX-License-Identifier: Apache-2.0
"""Storage pools, and what compute pools may name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nano_api.address_pools import service as address_pools
from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from tests.api.test_visibility import a_guest

OK = {"error_code": 0, "message": "", "data": ""}
NFS = {"type": "nfs", "host": "nfs.example.net", "target": "/var/nano/pool1"}
Call = Callable[..., Any]


@pytest.fixture
def call(shared_client: TestClient) -> Call:
    def request(method: str, path: str, body: Any = None) -> Any:
        reply = shared_client.request(method, path, json=body)
        assert reply.status_code == 200
        return reply.json()

    return request


def test_a_storage_pool_is_made_changed_and_deleted(call: Call) -> None:
    assert call("POST", "/storage_pools/s1", NFS) == OK
    assert call("GET", "/storage_pools/")["data"] == [{"name": "s1", **NFS}]
    assert call("GET", "/storage_pools/s1")["data"] == NFS
    assert call("POST", "/storage_pools/s1", NFS)["message"] == "storage pool 's1' already exists"
    other = {"type": "nfs", "host": "fd00::1", "target": "/x"}
    assert call("PUT", "/storage_pools/s1", other) == OK
    assert call("GET", "/storage_pools/s1")["data"] == other
    assert call("DELETE", "/storage_pools/s1") == OK
    assert call("GET", "/storage_pools/s1")["message"] == "invalid storage pool 's1'"


@pytest.mark.parametrize(
    ("method", "name", "body", "message"),
    [
        ("POST", "a b", NFS, "invalid storage pool 'a b'"),
        ("POST", "s", {}, "unsupported storage type ''"),
        ("POST", "s", {**NFS, "type": "ceph"}, "unsupported storage type 'ceph'"),
        ("POST", "s", {**NFS, "host": ""}, "host required"),
        ("POST", "s", {**NFS, "host": "a;b"}, "invalid host 'a;b'"),
        ("POST", "s", {**NFS, "host": "-o"}, "invalid host '-o'"),
        ("POST", "s", {**NFS, "target": ""}, "target required"),
        ("POST", "s", {**NFS, "target": "x/y"}, "target 'x/y' is not an absolute path"),
        ("POST", "s", {**NFS, "target": "/a/../b"}, "is not an absolute path"),
        ("POST", "s", {**NFS, "target": "/a\nb"}, "target contains a control character"),
        ("PUT", "none", NFS, "invalid storage pool 'none'"),
        ("DELETE", "none", None, "invalid storage pool 'none'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    call: Call, method: str, name: str, body: Any, message: str
) -> None:
    refused = call(method, f"/storage_pools/{name}", body)
    assert refused["error_code"] in (400, 404)
    assert message in refused["message"]
    assert call("GET", "/storage_pools/")["data"] == []


def test_a_compute_pool_names_storage_and_network_that_exist(
    call: Call, shared_app: FastAPI
) -> None:
    cloud: Cloud = shared_app.state.cloud
    settings = {"gateway": "10.0.0.1", "provider": "dhcp"}
    for name in ("s1", "s2"):
        assert call("POST", f"/storage_pools/{name}", NFS) == OK
    for name in ("n1", "n2"):
        assert call("POST", f"/address_pools/{name}", settings) == OK
    assert call("POST", "/compute_pools/c", {"network": "none"})["error_code"] == 404
    wanted = {"storage": "s1", "network": "n1", "failover": True}
    assert call("POST", "/compute_pools/c", wanted) == OK
    shown = call("GET", "/compute_pools/c")["data"]
    assert {name: shown[name] for name in wanted} == wanted
    used = "storage pool 's1' is used by compute pool 'c'"
    assert call("PUT", "/storage_pools/s1", NFS)["message"] == used
    assert call("DELETE", "/storage_pools/s1")["message"] == used
    assert call("DELETE", "/address_pools/n1")["message"] == (
        "address pool 'n1' is used by compute pool 'c'"
    )
    assert call("PUT", "/compute_pools/c", {**wanted, "storage": "s2", "network": "n2"}) == OK

    with cloud.database.transaction() as session:
        session.add(Cell(name="c1", address="192.0.2.1", pool="c"))
        session.flush()
        guest = a_guest(1, "admin", "admin")
        guest.pool = "c"
        session.add(guest)
        address_pools.add_range(
            session, "n2", "internal", "10.0.0.8", end="10.0.0.9", netmask="255.255.255.0"
        )
        address_pools.allocate(session, "n2", "g1")
    path = "/compute_pools/c"
    assert call("PUT", path, {"storage": "s1", "network": "n2"})["message"] == (
        "must remove all cells before change storage"
    )
    assert call("PUT", path, {"storage": "s2"})["message"].startswith(
        "1 address(es) of address pool 'n2' are allocated to guests of pool 'c'"
    )
    assert call("PUT", path, {"storage": "s2", "network": "n2"}) == OK  # failover off
    with cloud.database.transaction() as session:
        address_pools.release(session, "g1")
    assert call("PUT", path, {"storage": "s2"}) == OK
    assert call("GET", path)["data"]["network"] == ""
