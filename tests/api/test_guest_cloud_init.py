# SPDX-License-Identifier: Apache-2.0
"""Guests with cloud-init, and the addresses that cells or cloud-init give them."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.guests.cloud_init import host_name
from nano_api.guests.tables import Guest
from nano_api.jobs.tables import Job
from nano_api.operations import OPERATIONS

MIB = 1 << 20
ORDER: dict[str, Any] = {
    "name": "web1",
    "owner": "admin",
    "group": "team",
    "pool": "default",
    "cores": 2,
    "memory": 256 * MIB,
    "disks": [512 * MIB, 128 * MIB],
    "template": "centos-7",
}
SECRET = "Open-7 sesame"


@pytest.fixture(scope="module")
def shared_cloud(shared_app: FastAPI, shared_client: TestClient) -> Cloud:  # noqa: ARG001
    """The system of ``shared_client``, with a cell."""
    cloud: Cloud = shared_app.state.cloud
    with cloud.database.transaction() as session:
        session.add(
            Cell(
                name="c1",
                address="192.0.2.1",
                pool="default",
                alive=True,
                cores=64,
                memory_bytes=1 << 40,
                memory_available_bytes=1 << 40,
                disk_bytes=1 << 42,
                disk_available_bytes=1 << 42,
            )
        )
    return cloud


@pytest.fixture
def orders(shared_client: TestClient, shared_cloud: Cloud) -> Orders:
    return Orders(shared_client, shared_cloud)


class Orders:
    """Orders of guests, each of a name of its own, and what their jobs would run."""

    _count = 0

    def __init__(self, client: TestClient, cloud: Cloud) -> None:
        self.client = client
        self.cloud = cloud

    def post(self, **changes: Any) -> Any:
        Orders._count += 1
        order = {**ORDER, "name": f"web{Orders._count}", **changes}
        return self.client.post("/guests/", json=order)

    def make(self, **changes: Any) -> str:
        reply = self.post(**changes)
        assert reply.json()["error_code"] == 0, reply.json()
        guest_id: str = reply.json()["data"]["id"]
        return guest_id

    def variables(self, guest_id: str, operation: str = "guest_create") -> tuple[Any, Any]:
        """(variables, secrets) of the guest's job."""
        with self.cloud.database.transaction() as session:
            guest = session.get_one(Guest, guest_id)
            job = session.get_one(Job, guest.job_id)
            made = OPERATIONS[operation].variables(session, self.cloud, job)
        return made.variables, made.secrets

    def row(self, guest_id: str) -> Guest:
        with self.cloud.database.reading() as session:
            return session.get_one(Guest, guest_id)


def test_an_account_is_made_and_its_secret_is_sealed(orders: Orders) -> None:
    asked = {"admin_name": "anna", "admin_secret": SECRET, "data_path": "/srv"}
    guest_id = orders.make(cloud_init=asked, modules=["qemu"])
    row = orders.row(guest_id)
    assert row.admin_name == "anna"
    assert orders.cloud.secrets.open(row.admin_secret_sealed or "") == SECRET
    assert row.modules == ["qemu", "cloud-init"]
    variables, secrets = orders.variables(guest_id)
    assert SECRET in secrets
    options = variables["nano_guest"]["cloud_init"]
    assert options["users"] == [{"name": "anna", "password": SECRET, "sudo": True}]
    assert options["root_enabled"] is False
    assert options["ssh_pwauth"] is True
    assert options["data_path"] == "/srv"
    assert options["hostname"] == row.name.partition(".")[2]
    assert "network" not in options
    assert SECRET not in orders.client.get(f"/guests/{guest_id}").text
    with orders.cloud.database.reading() as session:
        for table in ("guests", "jobs"):
            stored = session.execute(text(f"select * from {table}")).all()
            assert SECRET not in repr(stored)


def test_the_module_alone_lets_root_in(orders: Orders) -> None:
    guest_id = orders.make(modules=["cloud-init"], disks=[512 * MIB])
    row = orders.row(guest_id)
    secret = orders.cloud.secrets.open(row.admin_secret_sealed or "")
    assert (row.admin_name, len(secret)) == ("root", 10)
    options = orders.variables(guest_id)[0]["nano_guest"]["cloud_init"]
    assert options["users"] == [{"name": "root", "password": secret, "sudo": False}]
    assert options["root_enabled"] is True
    assert "data_path" not in options, "it has no data disk"


def test_root_beside_another_account(orders: Orders) -> None:
    asked = {"root_enabled": True, "admin_name": "anna", "admin_secret": SECRET}
    options = orders.variables(orders.make(cloud_init=asked))[0]["nano_guest"]["cloud_init"]
    assert [user["name"] for user in options["users"]] == ["anna", "root"]


def test_without_it_only_the_templates_administrator_is_known(orders: Orders) -> None:
    row = orders.row(orders.make())
    assert (row.admin_name, row.admin_secret_sealed, row.cloud_init) == ("root", None, {})
    assert "cloud_init" not in orders.variables(row.id)[0]["nano_guest"]


def test_each_guest_of_a_batch_has_its_own_secret(orders: Orders) -> None:
    body = {**ORDER, "name_rule": "order", "name_prefix": "node", "count": 2}
    reply = orders.client.post("/batch/create_guest/", json={**body, "modules": ["cloud-init"]})
    assert reply.status_code == 202, reply.json()
    with orders.cloud.database.transaction() as session:
        job = session.get_one(Job, reply.json()["data"]["id"])
        made = OPERATIONS["guests_create"].variables(session, orders.cloud, job)
    guests = made.variables["nano_guests"]["c1"]
    passwords = {guest["cloud_init"]["users"][0]["password"] for guest in guests}
    assert len(passwords) == 2
    assert passwords < set(made.secrets)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cloud_init": {"admin_name": "a b"}}, "invalid admin_name 'a b'"),
        ({"cloud_init": {"admin_name": "root:x"}}, "invalid admin_name"),
        ({"cloud_init": {"admin_secret": "a\nb"}}, "invalid admin_secret"),
        ({"cloud_init": {"data_path": "/a;b"}}, "invalid data_path '/a;b'"),
        ({"cloud_init": {"data_path": "opt"}}, "invalid data_path 'opt'"),
        (
            {"modules": ["cloud-init"], "template": "windows-server-2012"},
            "cloud-init is for Linux; template 'Windows Server 2012' is for windows",
        ),
    ],
)
def test_a_refused_order_names_the_field(
    orders: Orders, changes: dict[str, Any], message: str
) -> None:
    reply = orders.post(**changes).json()
    assert reply["error_code"] == 400
    assert message in reply["message"]


def network(orders: Orders, provider: str) -> None:
    """Give the compute pool an address pool of its own."""
    name = f"lan-{provider}"
    body = {"gateway": "10.1.0.1", "dns": ["192.0.2.53"], "provider": provider}
    assert orders.client.post(f"/address_pools/{name}", json=body).json()["error_code"] == 0
    area = {"end": "10.1.0.20", "netmask": "255.255.255.0"}
    path = f"/address_pools/{name}/internal/ranges/10.1.0.10"
    assert orders.client.post(path, json=area).json()["error_code"] == 0
    reply = orders.client.put("/compute_pools/default", json={"network": name})
    assert reply.json()["error_code"] == 0, reply.json()


def test_addresses_by_cloud_init_and_by_the_cell(orders: Orders) -> None:
    network(orders, "cloudinit")
    static = orders.make(modules=["cloud-init"])
    address = orders.row(static).allocated_address
    variables = orders.variables(static)[0]
    assert variables["nano_guest"]["cloud_init"]["network"] == {
        "addresses": [address],
        "gateways": ["10.1.0.1"],
        "dns": ["192.0.2.53"],
    }
    assert "nano_leases" not in variables
    with orders.cloud.database.transaction() as session:
        session.execute(text("delete from address_allocations"))
    network(orders, "dhcp")
    leased = orders.make(modules=["cloud-init"])
    row = orders.row(leased)
    variables = orders.variables(leased)[0]
    assert "network" not in variables["nano_guest"]["cloud_init"]
    assert variables["nano_leases"] == [
        {
            "mac": row.mac,
            "address": row.allocated_address,
            "gateway": "10.1.0.1",
            "dns": ["192.0.2.53"],
        }
    ]
    assert orders.variables(leased, "guest_delete")[0]["nano_leases"] == [{"mac": row.mac}]
    body = {**ORDER, "name_rule": "order", "name_prefix": "leased", "count": 2}
    reply = orders.client.post("/batch/create_guest/", json=body)
    with orders.cloud.database.transaction() as session:
        job = session.get_one(Job, reply.json()["data"]["id"])
        made = OPERATIONS["guests_create"].variables(session, orders.cloud, job).variables
        gone = OPERATIONS["guests_delete"].variables(session, orders.cloud, job).variables
    assert len(made["nano_leases"]["c1"]) == 2
    assert gone["nano_leases"]["c1"].keys() == made["nano_leases"]["c1"].keys()


@pytest.mark.parametrize(
    ("name", "expected"), [("team.web_1", "web-1"), ("team._", "guest"), ("a.b", "b")]
)
def test_host_names(name: str, expected: str) -> None:
    assert host_name(name) == expected
