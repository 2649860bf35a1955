# SPDX-License-Identifier: Apache-2.0
"""An image of a guest: asked for, sent by its cell with a ticket, told when it failed."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.images.service import ticket_purpose, upload_ticket_purpose
from nano_api.images.tables import Image
from nano_api.jobs import service as jobs
from nano_api.jobs.progress import Failure
from nano_api.jobs.tables import Job
from nano_api.operations.base import Outcome
from nano_api.operations.image_capture import IMAGE_CAPTURE
from tests.api.image_files import FORM_TYPE, form, qcow2

WHO = {"name": "made", "owner": "admin", "group": "admin"}


@pytest.fixture(autouse=True)
def _guests(cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        session.add(Cell(name="c1", address="192.0.2.1", pool="default", alive=True))
        session.flush()
        for number, name in enumerate(("stopped", "running")):
            session.add(
                Guest(
                    id=name,
                    name=f"team.{name}",
                    owner="admin",
                    group="team",
                    pool="default",
                    cell="c1",
                    cores=2,
                    memory_bytes=1 << 26,
                    disks=[1 << 26],
                    template_id="centos-7",
                    hardware={"operating_system": "linux", "control": "vnc"},
                    modules=[],
                    mac=f"00:16:3e:00:00:0{number}",
                    display_port=5901 + number,
                    monitor_secret_sealed=cloud.secrets.seal("secret12"),
                    state="created",
                    running=name == "running",
                )
            )


@pytest.fixture
def image(client: TestClient) -> str:
    reply = client.post("/disk_images/", json={**WHO, "guest": "stopped"})
    assert reply.status_code == 202
    assert reply.headers["Nano-Job"]
    return str(reply.json()["data"]["id"])


def send(client: TestClient, image_id: str, ticket: str = "", content: bytes = b"") -> str:
    headers = {"content-type": FORM_TYPE}
    if ticket:
        headers |= {"Authorization": f"Bearer {ticket}", "Nano-Session": ""}
    body = form(("format", b"qcow2"), ("image", content or qcow2()))
    reply = client.post(f"/disk_images/{image_id}/file/", content=body, headers=headers)
    return str(reply.json()["message"])


@pytest.mark.parametrize(
    ("kind", "guest", "message"),
    [
        ("disk", "none", "invalid guest 'none'"),
        ("disk", "running", "is still running"),
        ("media", "stopped", "only disk images are built from guests"),
    ],
)
def test_refused(client: TestClient, cloud: Cloud, kind: str, guest: str, message: str) -> None:
    reply = client.post(f"/{kind}_images/", json={**WHO, "guest": guest})
    assert message in reply.json()["message"]
    with cloud.database.reading() as session:
        assert session.scalars(select(Image)).all() == []
        assert session.scalars(select(Job)).all() == []


def test_its_cell_sends_it_once(client: TestClient, cloud: Cloud, image: str) -> None:
    shown: dict[str, Any] = client.get(f"/disk_images/{image}").json()["data"]
    assert (shown["created"], shown["progress"]) == (False, 0)
    assert "is being made of a guest's disk" in send(client, image)
    for wrong in (cloud.secrets.ticket(ticket_purpose(image)), "forged"):
        assert "ticket is not valid" in send(client, image, wrong)
    ticket = cloud.secrets.ticket(upload_ticket_purpose(image))
    assert "ticket is not valid" in send(client, "another", ticket)
    looked = {"Authorization": f"Bearer {ticket}", "Nano-Session": ""}
    path = f"/disk_images/{image}/file/"
    assert client.get(path, headers=looked).json()["error_code"] == 409
    assert send(client, image, ticket) == ""
    assert client.get(path, headers=looked).content == qcow2()
    assert "has its file already" in send(client, image, ticket)
    shown = client.get(f"/disk_images/{image}").json()["data"]
    assert not shown["created"], "its guest is still busy"
    with cloud.database.transaction() as session:
        jobs.finish(session, session.scalars(select(Job)).one(), "succeeded")
    shown = client.get(f"/disk_images/{image}").json()["data"]
    assert (shown["created"], shown["progress"], shown["format"]) == (True, 100, "qcow2")


def test_a_file_that_is_no_image_is_refused_from_a_cell_too(
    client: TestClient, cloud: Cloud, image: str
) -> None:
    ticket = cloud.secrets.ticket(upload_ticket_purpose(image))
    assert "not qcow2" in send(client, image, ticket, b"\\x7fELF" * 1000)


def test_a_failure_is_told_once(client: TestClient, cloud: Cloud, image: str) -> None:
    with cloud.database.transaction() as session:
        job = session.scalars(select(Job)).one()
        job.percent = 40
    assert client.get(f"/disk_images/{image}").json()["data"]["progress"] == 40
    with cloud.database.transaction() as session:
        job = session.scalars(select(Job)).one()
        failed = Outcome({}, {}, Failure("no_space", "the cell is full"))
        IMAGE_CAPTURE.apply(session, cloud, job, failed)
    told = client.get(f"/disk_images/{image}").json()
    assert "the cell is full" in told["message"]
    assert "invalid image" in client.get(f"/disk_images/{image}").json()["message"]


def test_the_name_of_one_that_failed_is_free(client: TestClient, cloud: Cloud, image: str) -> None:
    assert "already exists" in client.post("/disk_images/", json=WHO).json()["message"]
    with cloud.database.transaction() as session:
        session.get_one(Image, image).error_message = "the cell is full"
    assert client.post("/disk_images/", json=WHO).json()["error_code"] == 0
