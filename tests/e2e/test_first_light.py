# SPDX-License-Identifier: Apache-2.0
"""From bare hosts to a guest that boots, and back: real ssh, Ansible, libvirt and QEMU."""

from __future__ import annotations

import json
import time

import pytest

from tests.e2e.conftest import MIB, POOL, USER, Service, ansible, changes, traces
from tests.lab.first_light import wait_for_boot
from tests.lab.identity import CHECKOUT
from tests.lab.lab import Lab
from tests.nano_client import ApiError

pytestmark = pytest.mark.lab


def test_onboarding_again_changes_nothing(onboarded: Lab) -> None:
    again = ansible(CHECKOUT / "playbooks/cell_onboard.yml", onboarded.inventory_path)
    assert changes(again) == {"cell1": 0, "cell2": 0}


@pytest.mark.usefixtures("clean_cells")
def test_a_guest_from_upload_to_its_end(service: Service, image: str) -> None:
    client = service.client
    order = service.order("first", from_image=image, memory=128 * MIB, disks=[256 * MIB, 64 * MIB])
    guest_id, job_id = client.create_guest(order)

    percents: list[int] = []
    guest = client.wait_for_guest(guest_id, on_progress=percents.append)
    assert percents == sorted(percents)
    assert len(set(percents)) >= 3, percents
    assert guest["created"] is True
    assert guest["running"] is False
    assert (guest["name"], guest["owner"], guest["group"]) == (f"{USER}.first", USER, USER)
    cell = service.cell(guest["cell"])
    assert guest["host"] == cell.address
    volumes = [f"{guest_id}_sys.qcow2", f"{guest_id}_0.qcow2"]
    listed = cell.run(["virsh", "vol-list", "default"]).stdout
    assert all(volume in listed for volume in volumes)
    backing = cell.run(
        ["qemu-img", "info", "--output=json", f"/var/lib/libvirt/images/{volumes[0]}"]
    )
    description = json.loads(backing.stdout)
    assert description["virtual-size"] == 256 * MIB
    assert description["full-backing-filename"] == f"/var/lib/libvirt/nano-images/{image}.qcow2"

    job = client.get(f"/jobs/{job_id}")
    assert (job["state"], job["percent"], job["requested_by"]) == ("succeeded", 100, USER)
    assert job["results"] == [{"id": guest_id, "name": f"{USER}.first", "state": "succeeded"}]

    client.call("POST", f"/instances/{guest_id}")
    assert client.get(f"/instances/{guest_id}")["running"] is True
    with pytest.raises(ApiError, match=f"instance '{guest_id}' already started"):
        client.call("POST", f"/instances/{guest_id}")
    with pytest.raises(ApiError, match=f"instance '{guest_id}' is still running"):
        client.call("DELETE", f"/guests/{guest_id}", {})
    address = wait_for_boot(cell, guest_id)
    assert service.lab.leases()[guest["ethernet_address"]] == address

    client.call("DELETE", f"/instances/{guest_id}", {})
    assert client.get(f"/instances/{guest_id}")["running"] is False
    assert cell.run(["virsh", "domstate", guest["name"]]).stdout.strip() == "shut off"
    client.call("DELETE", f"/guests/{guest_id}", {})
    with pytest.raises(ApiError, match=f"invalid guest '{guest_id}'"):
        client.get(f"/guests/{guest_id}")


@pytest.mark.usefixtures("clean_cells")
def test_reboot_reset_and_a_stop_by_force(service: Service, image: str) -> None:
    client = service.client
    order = service.order("power", from_image=image, auto_start=True, memory=128 * MIB)
    guest_id, _job = client.create_guest(order)
    guest = client.wait_for_guest(guest_id)
    assert guest["running"] is True
    cell = service.cell(guest["cell"])
    wait_for_boot(cell, guest_id)
    client.call("DELETE", f"/instances/{guest_id}", {"reboot": True, "force": True})
    assert client.get(f"/instances/{guest_id}")["running"] is True
    client.call("DELETE", f"/instances/{guest_id}", {"force": True})
    assert client.get(f"/instances/{guest_id}")["running"] is False
    client.call("POST", f"/instances/{guest_id}", {})
    client.call("DELETE", f"/guests/{guest_id}", {"force": True})


def test_what_happens_behind_our_back_is_seen(service: Service) -> None:
    client = service.client
    guest_id, _job = client.create_guest(service.order("outside"))
    guest = client.wait_for_guest(guest_id)
    cell = service.cell(guest["cell"])
    for command, running in (("start", True), ("destroy", False)):
        cell.run(["virsh", command, guest["name"]])
        deadline = time.monotonic() + 20
        while client.get(f"/instances/{guest_id}")["running"] is not running:
            assert time.monotonic() < deadline, f"virsh {command} was never seen"
            time.sleep(0.1)
    client.call("DELETE", f"/guests/{guest_id}", {})


def test_events_can_be_watched_and_taken_up_again(service: Service) -> None:
    client = service.client
    guest_id, job_id = client.create_guest(service.order("watched"))
    with client.events(job_id) as lines:
        events = [line for line in lines if line]
    ids = [int(line.removeprefix("id: ")) for line in events if line.startswith("id: ")]
    data = [json.loads(line.removeprefix("data: ")) for line in events if line.startswith("data: ")]
    assert ids == list(range(1, len(ids) + 1))
    assert [data[0]["state"], data[-1]["state"]] == ["queued", "succeeded"]
    percents = [event["percent"] for event in data]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    with client.events(job_id, after=ids[-2]) as lines:
        rest = [line for line in lines if line.startswith("id: ")]
    assert rest == [f"id: {ids[-1]}"]
    assert "TASK [Make the guest]" in client.job_log(job_id)
    client.call("DELETE", f"/guests/{guest_id}", {})


def test_secrets_are_in_no_log_event_or_database(service: Service, image: str) -> None:
    client = service.client
    guest_id, job_id = client.create_guest(service.order("secret", from_image=image))
    guest = client.wait_for_guest(guest_id)
    secret = guest["monitor_secret"].encode()
    xml = (
        service.cell(guest["cell"])
        .run(["virsh", "dumpxml", "--security-info", guest["name"]])
        .stdout
    )
    assert secret in xml.encode(), "the guest really has this password"
    for path in service.api.folder.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
    assert secret.decode() not in client.job_log(job_id)
    client.call("DELETE", f"/guests/{guest_id}", {})


@pytest.mark.usefixtures("clean_cells")
def test_a_canceled_creation_leaves_nothing(service: Service, image: str) -> None:
    client = service.client
    guest_id, job_id = client.create_guest(service.order("canceled", from_image=image))
    time.sleep(1.5)
    client.call("DELETE", f"/jobs/{job_id}")
    job = client.wait_for_job(job_id)
    assert job["state"] == "canceled", job
    with pytest.raises(ApiError, match="canceled on request"):
        client.get(f"/guests/{guest_id}")
    with pytest.raises(ApiError, match="invalid guest"):
        client.get(f"/guests/{guest_id}")
    assert client.get(f"/guest_search/?pool={POOL}") == []


def test_cells_are_spread_and_a_pool_with_guests_keeps_its_cells(service: Service) -> None:
    client = service.client
    made = [client.create_guest(service.order(f"spread{number}"))[0] for number in range(4)]
    guests = [client.wait_for_guest(guest_id) for guest_id in made]
    assert len({guest["internal"]["display_address"] for guest in guests}) == 4
    busy = guests[0]["cell"]
    with pytest.raises(ApiError, match=r"instance\(s\) left in cell"):
        client.call("DELETE", f"/compute_pool_cells/{POOL}/{busy}")
    for guest_id in made:
        client.call("DELETE", f"/guests/{guest_id}", {})
    assert all("sys.qcow2" not in " ".join(traces(cell)) for cell in service.lab.cells)
