# SPDX-License-Identifier: Apache-2.0
"""Drift and unknown guests from rows; the jobs themselves run on real cells elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import delete

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.guests.options import wanted_options
from nano_api.guests.tables import Guest, GuestDefinition
from nano_api.jobs.tables import Job, JobLock

from ansible_collections.nano.cloud.plugins.module_utils import domain_xml  # isort: skip
from ansible_collections.nano.cloud.plugins.module_utils.guest_defaults import new_guest  # isort: skip
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import guest_request  # isort: skip
from ansible_collections.nano.cloud.plugins.module_utils.host_capabilities import (  # isort: skip
    HostCapabilities,
)

GUEST = "0a50c4b1-3c1b-4f6b-9d6d-0d3e8f6f1c11"
OTHER = "0a50c4b1-3c1b-4f6b-9d6d-0d3e8f6f1c12"
HOST = HostCapabilities("x86_64", ("qemu",))


def a_guest() -> Guest:
    hardware = {"operating_system": "linux", "disk": "scsi", "network": "virtio"}
    hardware |= {"display": "vga", "control": "vnc", "usb": "nec-xhci", "tablet": "usb"}
    return Guest(
        id=GUEST,
        name="team.web",
        owner="admin",
        group="team",
        pool="default",
        cell="c1",
        cores=2,
        memory_bytes=1 << 28,
        disks=[1 << 28],
        template_id="t",
        hardware=hardware,
        modules=["qemu"],
        limits={"cpu_priority": "low"},
        mac="00:16:3e:00:00:01",
        display_port=5901,
        monitor_secret_sealed="",
        state="created",
        auto_start=True,
    )


def xml_of(guest: Guest, **changes: Any) -> str:
    """As the module would define it."""
    options = {**wanted_options(guest), "disks": [{"size_bytes": 1 << 28}], **changes}
    return domain_xml.build(new_guest(guest_request(options), guest.id, HOST)).replace(
        ' incomplete="yes"', ""
    )


@pytest.fixture
def cloud(shared_app: FastAPI, shared_client: TestClient) -> Iterator[Cloud]:
    """A cell that lives, with one guest as it should be."""
    assert shared_client
    cloud: Cloud = shared_app.state.cloud
    with cloud.database.transaction() as session:
        session.merge(Cell(name="c1", address="192.0.2.1", pool="default", alive=True))
        session.flush()
        session.add(a_guest())
    see(cloud)
    yield cloud
    with cloud.database.transaction() as session:
        for table in (JobLock, Job, GuestDefinition, Guest):
            session.execute(delete(table))


def see(cloud: Cloud, guest_id: str = GUEST, **changes: Any) -> None:
    """What the observer would have written."""
    guest = a_guest()
    row = {"name": guest.name, "auto_start": True, "running": False, "present": True}
    row |= {name: changes.pop(name) for name in list(changes) if name in (*row, "xml")}
    row.setdefault("xml", xml_of(guest, **changes))
    with cloud.database.transaction() as session:
        session.merge(GuestDefinition(cell="c1", guest_id=guest_id, seen_at=now(), **row))


def drift(client: TestClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/drift/").json()["data"]
    return found


def fields(client: TestClient) -> dict[str, tuple[Any, Any]]:
    (one,) = drift(client)
    assert (one["guest"], one["name"], one["missing"]) == (GUEST, "team.web", False)
    return {each["field"]: (each["wanted"], each["found"]) for each in one["fields"]}


def refusal(reply: Any) -> tuple[int, str]:
    return reply.json()["error_code"], reply.json()["message"]


@pytest.mark.usefixtures("cloud")
def test_a_guest_as_it_should_be(shared_client: TestClient) -> None:
    assert drift(shared_client) == []
    code, message = refusal(shared_client.get(f"/drift/{GUEST}"))
    assert (code, message) == (404, "no drift of guest 'team.web' is known")
    assert refusal(shared_client.post(f"/drift/{GUEST}/repair"))[0] == 404


def test_each_field_that_differs(shared_client: TestClient, cloud: Cloud) -> None:
    network = {"mac": "00:16:3e:00:00:99", "model": "virtio"}
    see(cloud, memory_bytes=1 << 27, network=network, auto_start=False)
    assert fields(shared_client) == {
        "memory_bytes": (1 << 28, 1 << 27),
        "network.mac": ("00:16:3e:00:00:01", "00:16:3e:00:00:99"),
        "auto_start": (True, False),
    }
    # libvirt's own additions are no drift.
    see(cloud, xml=xml_of(a_guest()).replace("<devices>", "<devices><rng model='virtio'/>"))
    assert drift(shared_client) == []


def test_only_what_was_seen_after_the_last_job_counts(
    shared_client: TestClient, cloud: Cloud
) -> None:
    see(cloud, cores=4)
    with cloud.database.transaction() as session:
        session.get_one(Guest, GUEST).observed_at = now()
    assert drift(shared_client) == []
    see(cloud, cores=4)
    assert fields(shared_client) == {"cores": (2, 4)}
    with cloud.database.transaction() as session:
        session.get_one(Cell, "c1").alive = False
    assert drift(shared_client) == []


def test_what_cannot_be_settled_says_why(shared_client: TestClient, cloud: Cloud) -> None:
    see(cloud, owner="somebody")
    code, message = refusal(shared_client.post(f"/drift/{GUEST}/accept"))
    assert (code, message) == (409, "owner of guest 'team.web' cannot be accepted: repair it")
    see(cloud, disks=[{"size_bytes": 1 << 28}] * 2)
    assert fields(shared_client) == {"disks": (1, 2)}
    code, message = refusal(shared_client.post(f"/drift/{GUEST}/repair"))
    assert code == 409
    assert "accept what is there" in message
    see(cloud, present=False, xml="")
    (one,) = drift(shared_client)
    assert one["missing"]
    assert "create it anew" in refusal(shared_client.post(f"/drift/{GUEST}/repair"))[1]
    assert "repair defines it again" in refusal(shared_client.post(f"/drift/{GUEST}/accept"))[1]


def test_unknown_guests(shared_client: TestClient, cloud: Cloud) -> None:
    foreign = xml_of(a_guest()).replace(GUEST, OTHER)
    see(cloud, OTHER, name="theirs", xml=foreign, running=True)
    (one,) = shared_client.get("/unknown_guests/").json()["data"]
    assert (one["cell"], one["id"], one["name"], one["running"]) == ("c1", OTHER, "theirs", True)
    assert (one["cores"], one["memory"], one["disks"]) == (2, 1 << 28, 1)
    path = f"/unknown_guests/c1/{OTHER}"
    assert refusal(shared_client.post(path, json={}))[1] == "owner required"
    body = {"owner": "admin", "group": "team"}
    assert refusal(shared_client.post(f"/unknown_guests/c1/{GUEST}", json=body))[0] == 404
    see(cloud, OTHER, name="team.web", xml=foreign)
    assert "already exists" in refusal(shared_client.post(path, json=body))[1]


def test_a_copy_is_nobody_to_adopt(shared_client: TestClient, cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        session.merge(Cell(name="c2", address="192.0.2.2", pool="default", alive=True))
        session.flush()
        session.get_one(Guest, GUEST).cell = "c2"
    (one,) = shared_client.get("/unknown_guests/").json()["data"]
    assert one["copy_of_guest"]
    reply = shared_client.post(
        f"/unknown_guests/c1/{GUEST}", json={"owner": "admin", "group": "team"}
    )
    assert "is a copy of guest" in refusal(reply)[1]
