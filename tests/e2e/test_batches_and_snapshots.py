# SPDX-License-Identifier: Apache-2.0
"""Batches and snapshots through the API on two real cells, checked on the cells."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.conftest import Service
from tests.nano_client import ApiError

pytestmark = pytest.mark.lab


def finished(service: Service, kind: str, batch: str, seconds: float = 90) -> list[dict[str, Any]]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = service.client.call("GET", f"/batch/{kind}_guest/{batch}")
        if answer.status == 200:
            return list(answer.data)
        time.sleep(0.3)
    raise AssertionError(f"batch {batch} did not end within {seconds} s")


@pytest.mark.usefixtures("clean_cells")
def test_a_batch_from_creation_to_deletion(service: Service, image: str) -> None:
    client = service.client
    order = service.order("unused", from_image=image)
    del order["name"]
    body = {**order, "name_rule": "order", "name_prefix": "many", "count": 4, "auto_start": True}
    begun = client.call("POST", "/batch/create_guest/", body)
    made = finished(service, "create", begun.data["id"])
    assert [item["status"] for item in made] == ["created"] * 4, made
    ids = [item["id"] for item in made]
    guests = [client.get(f"/guests/{guest}") for guest in ids]
    for guest in guests:
        state = service.cell(guest["cell"]).run(["virsh", "domstate", guest["id"]]).stdout
        assert state.strip() == "running"

    # One is deleted behind our back: its failure stops no other.
    lost = guests[0]
    service.cell(lost["cell"]).run(["virsh", "destroy", lost["id"]])
    stopped = client.call("POST", "/batch/stop_guest/", {"guest": ids, "force": True})
    assert {item["status"] for item in finished(service, "stop", stopped.data["id"])} == {"stopped"}

    client.call("POST", f"/instances/{ids[1]}")
    deleted = client.call("POST", "/batch/delete_guest/", {"guest": ids})
    items = finished(service, "delete", deleted.data["id"])
    assert [item["status"] for item in items] == ["deleted", "fail", "deleted", "deleted"]
    assert "stop it first, or set force" in items[1]["error"]
    last = client.call("POST", "/batch/delete_guest/", {"guest": [ids[1]], "force": True})
    assert finished(service, "delete", last.data["id"])[0]["status"] == "deleted"
    with pytest.raises(ApiError, match="invalid guest"):
        client.get(f"/guests/{ids[1]}")


@pytest.mark.usefixtures("clean_cells")
def test_a_tree_of_snapshots(service: Service, image: str) -> None:
    client = service.client
    guest_id, _job = client.create_guest(service.order("snapped", from_image=image))
    guest = client.wait_for_guest(guest_id)
    cell = service.cell(guest["cell"])
    path = f"/instances/{guest_id}/snapshots"

    def disk() -> str:
        blocks = cell.run(["virsh", "domblklist", guest_id, "--details"]).stdout
        (line,) = [line for line in blocks.splitlines() if " disk " in line and "_sys" in line]
        found = line.split()[-1]
        if found.startswith("/"):
            return found
        return cell.run(["virsh", "vol-path", found, "default"]).stdout.strip()

    def write(byte: int) -> None:
        cell.run(["qemu-io", "-c", f"write -P {byte} 200M 64k", disk()])

    def holds(byte: int) -> bool:
        output = cell.run(["qemu-io", "-r", "-c", f"read -P {byte} 200M 64k", disk()]).stdout
        return "verification failed" not in output

    write(1)
    client.call("POST", f"{path}/", {"name": "one", "description": "the first"})
    write(2)
    client.call("POST", f"{path}/", {"name": "two"})
    write(3)
    tree = client.get(f"{path}/")
    assert tree["one"] == {"is_root": True, "is_current": False}
    assert tree["two"] == {"is_root": False, "is_current": True, "backing": "one"}
    client.call("PUT", f"{path}/", {"target": "one"})
    assert holds(1)
    assert client.get(f"{path}/")["one"]["is_current"] is True
    client.call("PUT", f"{path}/", {"target": "two"})
    assert holds(2)
    client.call("DELETE", f"{path}/one")
    assert list(client.get(f"{path}/")) == ["two"]
    assert holds(2)
    assert client.get(f"{path}/two")["running"] is False
    client.call("POST", f"/instances/{guest_id}")
    client.call("POST", f"{path}/", {"name": "live"})
    with pytest.raises(ApiError, match="shutdown instance first"):
        client.call("PUT", f"{path}/", {"target": "two"})
    client.call("DELETE", f"/instances/{guest_id}", {"force": True})
    client.call("DELETE", f"/guests/{guest_id}")
