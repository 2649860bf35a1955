# SPDX-License-Identifier: Apache-2.0
"""Addresses and cloud-init through the API: on the cell that has the guest, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import MIB, POOL, Service
from tests.e2e.test_migrations import ended

pytestmark = pytest.mark.lab

SECRET = "Sesame-opens-7"


@pytest.fixture
def network(service: Service) -> Iterator[str]:
    """An address pool whose addresses the cells lease, in use by the compute pool."""
    client = service.client
    client.call(
        "POST",
        "/address_pools/leased",
        {"gateway": "10.99.5.1", "dns": ["192.0.2.53"], "provider": "dhcp"},
    )
    area = {"end": "10.99.5.20", "netmask": "255.255.255.0"}
    client.call("POST", "/address_pools/leased/internal/ranges/10.99.5.10", area)
    client.call("PUT", f"/compute_pools/{POOL}", {"network": "leased"})
    yield "leased"
    client.call("PUT", f"/compute_pools/{POOL}", {})
    client.call("DELETE", "/address_pools/leased")


def leases(service: Service) -> dict[str, dict[str, Any]]:
    """MAC → lease with the cell that has it, from the files that the cells' servers read."""
    found = {}
    for cell in service.lab.cells:
        path = "/etc/nano-cloud/dhcp/br0"
        text = cell.run(["sh", "-c", f"cat {path}/leases.json 2> /dev/null || true"]).stdout
        for lease in json.loads(text or "[]"):
            hosts = cell.run(["cat", f"{path}/hosts"]).stdout
            assert f"{lease['mac']},set:" in hosts
            cell.run(["systemctl", "is-active", "--quiet", "nano-dhcp@br0"])
            assert lease["mac"] not in found, "two cells would answer"
            found[lease["mac"]] = {**lease, "cell": cell.name}
    return found


def media(service: Service, guest_id: str) -> list[str]:
    """The cells that have the guest's medium."""
    path = f"/var/lib/libvirt/images/{guest_id}_ci.iso"
    return [
        cell.name
        for cell in service.lab.cells
        if cell.run(["sh", "-c", f"ls {path} 2> /dev/null || true"]).stdout.strip()
    ]


@pytest.mark.usefixtures("clean_cells")
def test_they_go_where_the_guest_goes(service: Service, network: str) -> None:
    client = service.client
    order = service.order(
        "addressed",
        modules=["qemu", "cloud-init"],
        cloud_init={"admin_name": "anna", "admin_secret": SECRET},
    )
    guest_id, job = client.create_guest(order)
    guest = client.wait_for_guest(guest_id)
    lease = leases(service)[guest["ethernet_address"]]
    assert lease["cell"] == guest["cell"]
    assert lease["address"] == guest["internal"]["allocated_address"]
    assert (lease["gateway"], lease["dns"]) == ("10.99.5.1", ["192.0.2.53"])
    assert media(service, guest_id) == [guest["cell"]]
    assert SECRET not in client.job_log(job) + service.log()

    target = "cell2" if guest["cell"] == "cell1" else "cell1"
    move = {"source_pool": POOL, "source_cell": guest["cell"], "target_cell": target}
    begun = client.call("POST", "/migrations/", {**move, "instances": [guest_id]})
    ended(service, begun.data["id"], 300)
    assert leases(service)[guest["ethernet_address"]] == {**lease, "cell": target}
    assert media(service, guest_id) == [target]

    prefix = {"name_rule": "order", "name_prefix": "many", "count": 2, "disks": [64 * MIB]}
    batch = client.call("POST", "/batch/create_guest/", {**service.order("unused"), **prefix})
    assert client.wait_for_job(str(batch.job), 300)["state"] == "succeeded"
    assert len(leases(service)) == 3
    used = client.get(f"/address_pools/{network}")["allocated"]
    many = [each["instance"] for each in used if each["instance"] != guest_id]
    gone = client.call("POST", "/batch/delete_guest/", {"guest": many})
    assert client.wait_for_job(str(gone.job), 300)["state"] == "succeeded"
    assert list(leases(service)) == [guest["ethernet_address"]]

    client.call("DELETE", f"/guests/{guest_id}")
    assert leases(service) == {}
    assert media(service, guest_id) == []
    assert client.get(f"/address_pools/{network}").get("allocated", []) == []
