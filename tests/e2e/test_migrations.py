# SPDX-License-Identifier: Apache-2.0
"""Guests move between two real cells through the API."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.conftest import MIB, POOL, Service
from tests.e2e.guest_load import GuestClock, begin_load, known_content_is_whole
from tests.e2e.test_console import open_channel, wait_for_serial, websocket
from tests.lab.network import slow_port
from tests.nano_client import ApiError

pytestmark = pytest.mark.lab


def ended(service: Service, migration: str, seconds: float = 120) -> list[int]:
    """The percentages that were seen; fails with the migration's own error."""
    seen = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found: dict[str, Any] = service.client.get(f"/migrations/{migration}")
        seen.append(found["progress"])
        if found["finished"]:
            assert "error" not in found, found
            return seen
        time.sleep(0.3)
    raise AssertionError(f"migration {migration} did not end within {seconds} s")


def states(service: Service, guest_id: str) -> dict[str, str]:
    look = f"virsh domstate {guest_id} 2> /dev/null || true"
    return {cell.name: cell.run(["sh", "-c", look]).stdout.strip() for cell in service.lab.cells}


@pytest.mark.usefixtures("clean_cells")
def test_running_and_stopped_guests_move(service: Service, image: str) -> None:
    client = service.client
    ids = []
    for name in ("moves-live", "moves-cold"):
        guest_id, _job = client.create_guest(service.order(name, from_image=image))
        ids.append(client.wait_for_guest(guest_id)["id"])
    first = client.get(f"/guests/{ids[0]}")
    source = first["cell"]
    target = "cell2" if source == "cell1" else "cell1"
    if client.get(f"/guests/{ids[1]}")["cell"] != source:
        move = {"source_pool": POOL, "source_cell": target, "instances": [ids[1]]}
        ended(service, client.call("POST", "/migrations/", move).data["id"])
    client.call("POST", f"/instances/{ids[0]}")

    body = {"source_pool": POOL, "source_cell": source, "target_cell": target, "instances": ids}
    begun = client.call("POST", "/migrations/", body)
    with pytest.raises(ApiError, match="is busy: job"):
        client.call("DELETE", f"/guests/{ids[1]}")
    seen = ended(service, begun.data["id"])
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert begun.data["id"] in [each["id"] for each in client.get("/migrations/")]
    assert states(service, ids[0]) == {target: "running", source: ""}
    assert states(service, ids[1]) == {target: "shut off", source: ""}
    moved = client.get(f"/guests/{ids[0]}")
    assert (moved["cell"], moved["running"]) == (target, True)
    port = moved["internal"]["display_address"].rpartition(":")[2]
    xml = service.cell(target).run(["virsh", "dumpxml", ids[0]]).stdout
    assert f"port='{port}'" in xml

    for wrong, message in (
        ({"target_cell": "none"}, "invalid cell 'none'"),
        ({"instances": ["none"]}, "invalid instance 'none'"),
        ({"target_pool": "other"}, "migration between pools not support"),
        ({"source_cell": ""}, "source_cell required"),
    ):
        with pytest.raises(ApiError, match=message):
            client.call("POST", "/migrations/", {**body, "source_cell": target, **wrong})

    client.call("DELETE", f"/instances/{ids[0]}", {"force": True})
    for guest_id in ids:
        client.call("DELETE", f"/guests/{guest_id}")


@pytest.mark.usefixtures("clean_cells")
def test_a_cell_is_emptied_and_comes_back(service: Service, image: str) -> None:
    client = service.client
    ids = [client.create_guest(service.order(f"leaves-{n}", from_image=image))[0] for n in (1, 2)]
    cells = {client.wait_for_guest(guest_id)["cell"] for guest_id in ids}
    source = sorted(cells)[0]
    client.call("POST", f"/instances/{ids[0]}")
    begun = client.call("POST", f"/cells/{source}/maintenance")
    assert begun.status == 202
    ended(service, begun.data["job"])
    found = client.get(f"/cells/{source}/maintenance")
    assert (found["empty"], found["enabled"], found["guests"]) == (True, False, [])
    assert all(states(service, guest_id)[source] == "" for guest_id in ids)
    assert "running" in states(service, ids[0]).values()
    client.call("DELETE", f"/cells/{source}/maintenance")
    assert client.get(f"/compute_pool_cells/{POOL}/{source}")["enabled"] is True
    client.call("DELETE", f"/instances/{ids[0]}", {"force": True})
    for guest_id in ids:
        client.call("DELETE", f"/guests/{guest_id}")


@pytest.mark.heavy
@pytest.mark.usefixtures("clean_cells")
def test_a_canceled_migration_harms_nobody(service: Service, image: str) -> None:
    client = service.with_token("cancels")
    order = service.order("stays", from_image=image, memory=256 * MIB, auto_start=True)
    guest_id, _job = client.create_guest(order)
    source = client.wait_for_guest(guest_id, 400)["cell"]
    target = next(cell for cell in service.lab.cells if cell.name != source)
    wait_for_serial(client, guest_id, "guest-ready")
    clock = GuestClock(service.lab.network.guest_lan_host_address)
    with websocket(service, open_channel(client, guest_id, type="serial")["id"]) as console:
        begin_load(console, clock, ballast_mib=64)
    body = {"source_pool": POOL, "source_cell": source, "instances": [guest_id]}
    # So slow that it cannot end: the guest writes faster.
    with slow_port(target.management_port, 10):
        job_id = client.call("POST", "/migrations/", body).data["id"]
        while not (seen := client.get(f"/migrations/{job_id}"))["progress"]:
            time.sleep(0.2)
        assert not seen["finished"], seen
        client.call("DELETE", f"/jobs/{job_id}")
        assert client.wait_for_job(job_id)["state"] == "canceled"
    assert states(service, guest_id) == {source: "running", target.name: ""}
    ticks = len(clock.ticks)
    channel = open_channel(client, guest_id, type="serial", force=True)
    with websocket(service, channel["id"]) as console:
        assert known_content_is_whole(console)
    assert len(clock.ticks) > ticks
    clock.close()
    client.call("DELETE", f"/guests/{guest_id}", {"force": True})
