# SPDX-License-Identifier: Apache-2.0
"""A disk shrunk, a system reset, the administrator's account: rules, before a job is made."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.errors import CloudError
from nano_api.guests import system
from nano_api.guests.service import guests_being_created_from
from nano_api.guests.tables import Guest
from nano_api.images.tables import Image
from nano_api.jobs.service import Requester
from nano_api.jobs.tables import Job

MIB = 1 << 20
WHO = Requester("admin", "192.0.2.7")


@pytest.fixture(autouse=True)
def _guests(cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        session.add(Cell(name="c1", address="192.0.2.1", pool="default", alive=True))
        for image_id, size in (("small", 32 * MIB), ("large", 128 * MIB)):
            session.add(_image(image_id, size))
        session.flush()
        for number, name in enumerate(("stopped", "running", "kept")):
            session.add(_guest(cloud, number, name))


def _image(image_id: str, size: int) -> Image:
    moment = now()
    return Image(
        id=image_id,
        name=image_id,
        owner="admin",
        group="admin",
        tags=[],
        created=True,
        format="qcow2",
        virtual_size_bytes=size,
        sha256="0" * 64,
        created_at=moment,
        modified_at=moment,
    )


def _guest(cloud: Cloud, number: int, name: str) -> Guest:
    return Guest(
        id=name,
        name=f"team.{name}",
        owner="admin",
        group="team",
        pool="default",
        cell="c1",
        cores=2,
        memory_bytes=64 * MIB,
        disks=[64 * MIB],
        template_id="centos-7",
        hardware={"operating_system": "linux", "control": "vnc"},
        modules=["qemu"],
        mac=f"00:16:3e:00:00:0{number}",
        display_port=5901 + number,
        monitor_secret_sealed=cloud.secrets.seal("secret12"),
        admin_name="root",
        state="created",
        running=name == "running",
        snapshots=[{"name": "one"}] if name == "kept" else [],
    )


@pytest.mark.parametrize(
    ("guest", "path", "body", "message"),
    [
        ("stopped", "disks/shrink/1", {}, "invalid disk 1"),
        ("running", "disks/shrink/0", {}, "is still running"),
        ("none", "disks/shrink/0", {}, "invalid guest 'none'"),
        ("stopped", "system/", {}, "from_image required"),
        ("stopped", "system/", {"from_image": "none"}, "invalid image 'none'"),
        ("stopped", "system/", {"from_image": "large"}, "larger than system disk"),
        ("running", "system/", {"from_image": "small"}, "is still running"),
        ("kept", "system/", {"from_image": "small"}, "has snapshots of its system disk"),
        ("stopped", "auth", {"password": "x"}, "is stopped: start it first"),
        ("running", "auth", {"user": "a:b"}, "is not a user's name"),
        ("running", "auth", {"password": "a\nb"}, "password contains a control character"),
        ("running", "auth", {"user": 7}, "invalid value for 'user'"),
    ],
)
def test_refused(
    client: TestClient, cloud: Cloud, guest: str, path: str, body: dict[str, Any], message: str
) -> None:
    reply = client.put(f"/guests/{guest}/{path}", json=body)
    assert reply.status_code == 200
    assert message in reply.json()["message"]
    with cloud.database.reading() as session:
        assert session.scalars(select(Job)).all() == []
        assert set(session.scalars(select(Guest.state))) == {"created"}


def test_a_system_is_reset(client: TestClient, cloud: Cloud) -> None:
    reply = client.put("/guests/stopped/system/", json={"from_image": "small"})
    assert reply.json() == {"error_code": 0, "message": "", "data": ""}
    assert reply.headers["Nano-Job"]
    shown = client.get("/guests/stopped")
    assert shown.status_code == 201
    assert shown.json()["data"]["created"] is False
    assert shown.json()["data"]["progress"] == 0
    again = client.put("/guests/stopped/system/", json={"from_image": "small"}).json()
    assert "is not ready (resetting)" in again["message"]
    with cloud.database.reading() as session:
        assert guests_being_created_from(session, "small") == ["team.stopped"]
    assert "is in use" in client.delete("/disk_images/small").json()["message"]


def test_passwords_are_made_sealed_and_told(client: TestClient, cloud: Cloud) -> None:
    assert client.get("/guests/running/auth").json()["data"] == {"user": "root"}
    with cloud.database.transaction() as session:
        job = system.set_password(session, cloud, "running", "", "", WHO)
        made = cloud.secrets.open(job.parameters["password_sealed"])
        assert job.parameters["user"] == "root"
        assert re.fullmatch("[A-Za-z0-9]{10}", made)
        assert made not in str(job.parameters)
        guest = session.get_one(Guest, "running")
        guest.admin_secret_sealed = job.parameters["password_sealed"]
    told = client.get("/guests/running/auth").json()["data"]
    assert told == {"user": "root", "password": made}


def test_a_guest_whose_administrator_is_not_known_needs_a_name(cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        session.get_one(Guest, "running").admin_name = None
        with pytest.raises(CloudError, match="user required"):
            system.set_password(session, cloud, "running", "", "Choose-1", WHO)
