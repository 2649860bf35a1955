# SPDX-License-Identifier: Apache-2.0
"""Guests on the wire: what is refused, what is allocated, what is shown. Jobs stay queued."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.images.tables import Image
from nano_api.jobs import service as jobs
from nano_api.jobs.tables import Job, JobLock

GIB = 1 << 30
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


@pytest.fixture
def cells(cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        for number in (1, 2):
            session.add(
                Cell(
                    name=f"c{number}",
                    address=f"192.0.2.{number}",
                    pool="default",
                    alive=True,
                    cores=8,
                    memory_bytes=16 * GIB,
                    memory_available_bytes=number * GIB,
                    disk_bytes=100 * GIB,
                    disk_available_bytes=50 * GIB,
                )
            )


def rows(cloud: Cloud) -> tuple[int, ...]:
    with cloud.database.reading() as session:
        tables = (Guest, Job, JobLock)
        counts = [select(func.count()).select_from(table) for table in tables]
        return tuple(session.execute(count).scalar_one() for count in counts)


def create(client: TestClient, **changes: Any) -> dict[str, Any]:
    reply = client.post("/guests/", json={**ORDER, **changes})
    assert reply.json()["error_code"] == 0, reply.json()
    assert reply.status_code == 202
    return {"job": reply.headers["Nano-Job"], **reply.json()["data"]}


def finish(cloud: Cloud, job_id: str, state: Any = "succeeded", **row: Any) -> None:
    """End a job as a worker would, with the guest's row as given."""
    with cloud.database.transaction() as session:
        job = jobs.get(session, job_id)
        jobs.finish(session, job, state)
        guest = session.get_one(Guest, job.subject_id)
        for name, value in row.items():
            setattr(guest, name, value)


@pytest.mark.usefixtures("cells")
def test_creating_answers_202_with_the_id_and_the_job(client: TestClient) -> None:
    made = create(client)
    reply = client.get(f"/guests/{made['id']}")
    assert reply.status_code == 201
    guest = reply.json()["data"]
    assert guest["name"] == "team.web1"
    assert (guest["created"], guest["progress"], guest["running"]) == (False, 0, False)
    assert guest["cell"] == "c2", "the cell with more memory"
    assert guest["host"] == "192.0.2.2"
    assert (guest["cores"], guest["memory"], guest["disks"]) == (2, 256 * MIB, ORDER["disks"])
    assert guest["total_disk"] == 640 * MIB
    assert guest["ethernet_address"].startswith("00:16:3e:")
    address, _, port = guest["internal"]["display_address"].partition(":")
    assert address == "192.0.2.2"
    assert 5901 <= int(port) <= 6000
    assert len(guest["monitor_secret"]) == 8
    assert guest["qos"] == {"cpu_priority": "high"}
    job = client.get(f"/jobs/{made['job']}").json()["data"]
    assert job["operation"] == "guest_create"
    assert job["subject"] == {"kind": "guest", "id": made["id"], "name": "team.web1"}
    assert (job["state"], job["percent"], job["requested_by"]) == ("queued", 0, "admin")


@pytest.mark.usefixtures("cells")
@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"receive_speed": MIB}, {"receive_speed": MIB, "send_speed": 0}),
        (
            {"send_speed": MIB, "read_iops": 9},
            {"receive_speed": 0, "send_speed": MIB, "read_iops": 9},
        ),
        ({"receive_speed": 0, "send_speed": 0}, {}),
    ],
)
def test_the_network_s_limits_are_told_together_or_not_at_all(
    client: TestClient, wanted: dict[str, int], told: dict[str, int]
) -> None:
    """Nano's portal reads the one as soon as the other is there."""
    order = {**ORDER, "qos": {"cpu_priority": "low", **wanted}}
    guest = client.post("/guests/", json=order).json()["data"]["id"]
    found = client.get(f"/guests/{guest}").json()["data"]["qos"]
    assert found == {"cpu_priority": "low", **told}


@pytest.mark.usefixtures("cells")
def test_a_created_guest_answers_200(client: TestClient, cloud: Cloud) -> None:
    made = create(client)
    finish(cloud, made["job"], state="succeeded", **{"running": True})
    with cloud.database.transaction() as session:
        session.get_one(Guest, made["id"]).state = "created"
    reply = client.get(f"/guests/{made['id']}")
    assert reply.status_code == 200
    assert reply.json()["data"]["created"] is True
    assert "progress" not in reply.json()["data"]
    listed = client.get("/guest_search/", params={"pool": "default", "status": 1}).json()["data"]
    assert [guest["id"] for guest in listed] == [made["id"]]
    assert "monitor_secret" not in listed[0]
    listed = client.get("/guest_search/", params={"pool": "default", "status": 0}).json()["data"]
    assert listed == []


@pytest.mark.usefixtures("cells")
def test_a_failed_creation_is_told_once(client: TestClient, cloud: Cloud) -> None:
    made = create(client)
    finish(cloud, made["job"], "failed")
    with cloud.database.transaction() as session:
        guest = session.get_one(Guest, made["id"])
        guest.state, guest.error_code, guest.error_message = "failed", "no_space", "pool is full"
    first = client.get(f"/guests/{made['id']}")
    assert first.status_code == 200
    assert first.json() == {"error_code": 409, "message": "pool is full", "data": ""}
    second = client.get(f"/guests/{made['id']}").json()
    assert second == {"error_code": 404, "message": f"invalid guest '{made['id']}'", "data": ""}


@pytest.mark.usefixtures("cells")
def test_the_display_secret_is_not_in_the_database_in_clear(
    client: TestClient, cloud: Cloud
) -> None:
    made = create(client)
    secret = client.get(f"/guests/{made['id']}").json()["data"]["monitor_secret"]
    for file in cloud.settings.data.glob("nano.db*"):
        assert secret.encode() not in file.read_bytes()


REFUSED = [
    ({"name": ""}, "name required"),
    ({"name": "a.b"}, "invalid name 'a.b'"),
    ({"name": "a b"}, "invalid name"),
    ({"name": "x" * 65}, "invalid name"),
    ({"name": "ü"}, "invalid name"),
    ({"owner": ""}, "owner required"),
    ({"group": "../x"}, "invalid group"),
    ({"pool": ""}, "pool required"),
    ({"pool": "nowhere"}, "invalid pool 'nowhere'"),
    ({"template": ""}, "system template required"),
    ({"template": "vms"}, "invalid template 'vms'"),
    ({"from_image": "none-such"}, "invalid image 'none-such'"),
    ({"cores": 0}, "cores must be"),
    ({"cores": -2}, "cores must be"),
    ({"cores": 3}, "even core number ( 3 ) is not allowed"),
    ({"cores": 1000}, "cores must be"),
    ({"cores": "2"}, "invalid value for 'cores'"),
    ({"cores": 2.5}, "invalid value for 'cores'"),
    ({"memory": 0}, "memory must be"),
    ({"memory": 1 << 62}, "memory must be"),
    ({"memory": True}, "invalid value for 'memory'"),
    ({"disks": []}, "must specify disk size"),
    ({"disks": [0]}, "disks[0] must be"),
    ({"disks": [GIB, -1]}, "disks[1] must be"),
    ({"disks": [512 * MIB] * 9}, "disks: at most 8"),
    ({"disks": "1"}, "invalid value for 'disks'"),
    ({"disks": [10**30]}, "disks"),
    ({"modules": ["telnet"]}, "invalid module 'telnet'"),
    ({"auto_start": "yes"}, "invalid value for 'auto_start'"),
    ({"memory": 3 * GIB}, "no cell has enough memory"),
    ({"disks": [GIB] * 8, "memory": GIB}, None),
]


@pytest.mark.usefixtures("cells")
@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_a_refused_order_names_the_field_and_changes_nothing(
    client: TestClient, cloud: Cloud, change: dict[str, Any], message: str | None
) -> None:
    reply = client.post("/guests/", json={**ORDER, **change})
    envelope = reply.json()
    if message is None:
        assert envelope["error_code"] == 0
        return
    assert reply.status_code == 200
    assert message in envelope["message"]
    assert envelope["error_code"] in (400, 404, 409)
    assert envelope["data"] == ""
    assert rows(cloud) == (0, 0, 0)


def test_a_guest_that_fits_nowhere_is_refused_with_the_reason(client: TestClient) -> None:
    envelope = client.post("/guests/", json=ORDER).json()
    assert envelope["error_code"] == 409
    assert "no cell fulfill the resource requirement" in envelope["message"]


@pytest.mark.usefixtures("cells")
@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b"nul", b'{"name": 1}'])
def test_a_body_that_is_no_order_is_refused_in_the_envelope(
    client: TestClient, cloud: Cloud, body: bytes
) -> None:
    reply = client.post("/guests/", content=body)
    assert reply.status_code == 200
    assert reply.json()["error_code"] == 400
    assert reply.json()["message"]
    assert rows(cloud) == (0, 0, 0)


@pytest.mark.usefixtures("cells")
def test_a_second_guest_of_the_same_name_is_refused(client: TestClient, cloud: Cloud) -> None:
    create(client)
    envelope = client.post("/guests/", json=ORDER).json()
    assert envelope["message"] == "instance 'team.web1' already exists in pool 'default'"
    assert rows(cloud) == (1, 1, 1)
    create(client, group="other")


@pytest.mark.usefixtures("cells")
def test_addresses_and_ports_are_never_given_twice(client: TestClient, cloud: Cloud) -> None:
    for number in range(30):
        create(client, name=f"g{number}", memory=16 * MIB, disks=[MIB])
    with cloud.database.reading() as session:
        guests = list(session.scalars(select(Guest)))
    assert len({guest.mac for guest in guests}) == 30
    assert len({(guest.cell, guest.display_port) for guest in guests}) == 30


@pytest.mark.usefixtures("cells")
def test_an_image_larger_than_the_system_disk_is_refused(client: TestClient, cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        session.add(
            Image(
                id="big",
                name="big",
                owner="admin",
                group="team",
                description="",
                tags=[],
                format="qcow2",
                size_bytes=MIB,
                virtual_size_bytes=GIB,
                sha1="0" * 40,
                sha256="0" * 64,
                created=True,
                created_at=now(),
                modified_at=now(),
            )
        )
    envelope = client.post("/guests/", json={**ORDER, "from_image": "big"}).json()
    assert envelope["message"] == ("source image (1.00 GB) larger than system disk (0.50 GB)")


@pytest.mark.usefixtures("cells")
@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", ["/guests/", "/instances/"])
def test_an_unknown_guest_is_said_so(client: TestClient, method: str, path: str) -> None:
    envelope = client.request(method, f"{path}none-such").json()
    assert envelope == {"error_code": 404, "message": "invalid guest 'none-such'", "data": ""}


@pytest.mark.usefixtures("cells")
def test_a_guest_with_a_job_is_busy(client: TestClient, cloud: Cloud) -> None:
    made = create(client)
    with cloud.database.transaction() as session:
        session.get_one(Guest, made["id"]).state = "created"
    envelope = client.post(f"/instances/{made['id']}", json={}).json()
    assert envelope["error_code"] == 409
    assert f"is busy: job {made['job']} (guest_create, queued)" in envelope["message"]
    assert rows(cloud) == (1, 1, 1)


@pytest.mark.usefixtures("cells")
@pytest.mark.parametrize(
    ("running", "method", "path", "body", "message"),
    [
        (True, "POST", "instances", {}, "instance '{id}' already started"),
        (False, "DELETE", "instances", {}, "instance '{id}' already stopped"),
        (False, "DELETE", "instances", {"reboot": True}, "instance '{id}' already stopped"),
        (True, "DELETE", "guests", {}, "instance '{id}' is still running"),
        (False, "POST", "instances", {"from_media": True}, "source required: the media image"),
        (False, "POST", "instances", {"from_network": True}, "from_network: a guest starts"),
    ],
)
def test_a_wrong_state_is_refused_before_a_job_is_made(
    client: TestClient,
    cloud: Cloud,
    running: bool,
    method: str,
    path: str,
    body: dict[str, Any],
    message: str,
) -> None:
    made = create(client)
    finish(cloud, made["job"], state="succeeded", running=running)
    with cloud.database.transaction() as session:
        session.get_one(Guest, made["id"]).state = "created"
    envelope = client.request(method, f"/{path}/{made['id']}", json=body).json()
    assert envelope["error_code"] in (400, 409)
    assert message.format(id=made["id"]) in envelope["message"]
    assert rows(cloud) == (1, 1, 0)


@pytest.mark.usefixtures("cells")
def test_a_template_in_a_text_field_is_refused_or_stays_text(client: TestClient) -> None:
    text = "{{ lookup('pipe', 'touch /tmp/x') }}"
    for field in ("name", "owner", "group", "pool", "template", "from_image"):
        envelope = client.post("/guests/", json={**ORDER, field: text}).json()
        assert envelope["error_code"] in (400, 404)
        assert "lookup" in envelope["message"]


def test_a_search_needs_a_pool(client: TestClient) -> None:
    assert client.get("/guest_search/").json()["message"] == "must specify target pool"
    envelope = client.get("/guest_search/", params={"pool": "x", "status": "many"}).json()
    assert "invalid value for 'status'" in envelope["message"]
