# SPDX-License-Identifier: Apache-2.0
"""Changes of a guest that are refused: by name, before a job is made."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.jobs.tables import Job

MIB = 1 << 20
STOPPED, RUNNING, OTHER = "11111111-0000-4000-8000-000000000001", "r", "o"


@pytest.fixture
def guests(cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        session.add(Cell(name="c1", address="192.0.2.1", pool="default", alive=True))
        session.flush()
        for number, (guest_id, name) in enumerate(
            ((STOPPED, "team.stopped"), (RUNNING, "team.running"), (OTHER, "team.other"))
        ):
            session.add(
                Guest(
                    id=guest_id,
                    name=name,
                    owner="admin",
                    group="team",
                    pool="default",
                    cell="c1",
                    cores=2,
                    memory_bytes=64 * MIB,
                    disks=[64 * MIB],
                    template_id="centos-7",
                    hardware={"operating_system": "linux", "control": "vnc"},
                    modules=[],
                    limits={"cpu_priority": "high"},
                    mac=f"00:16:3e:00:00:0{number}",
                    display_port=5901 + number,
                    monitor_secret_sealed=cloud.secrets.seal("secret12"),
                    state="created",
                    running=guest_id == RUNNING,
                )
            )


@pytest.mark.usefixtures("guests")
@pytest.mark.parametrize(
    ("guest", "path", "body", "message"),
    [
        (STOPPED, "cores", {"cores": 2}, "no need to modify"),
        (STOPPED, "cores", {"cores": 3}, "even core number ( 3 ) is not allowed"),
        (STOPPED, "cores", {}, "cores must be"),
        (STOPPED, "cores", {"cores": "4"}, "invalid value for 'cores'"),
        (STOPPED, "memory", {"memory": 64 * MIB}, "no need to modify"),
        (STOPPED, "memory", {"memory": 1}, "memory must be"),
        (STOPPED, "name/", {"name": "nogroup"}, "invalid name 'nogroup'"),
        (STOPPED, "name/", {"name": "a.b.c"}, "invalid name"),
        (STOPPED, "name/", {"name": "team.{{ 1 }}"}, "invalid name"),
        (STOPPED, "name/", {"name": "team.stopped"}, "no need to modify"),
        (STOPPED, "name/", {"name": "team.other"}, "already exists in pool 'default'"),
        (RUNNING, "name/", {"name": "team.new"}, "is still running"),
        (STOPPED, "auto_start", {"enable": False}, "auto start of guest 'team.stopped' already"),
        (STOPPED, "disks/resize/1", {"size": 128 * MIB}, "invalid disk 1"),
        (STOPPED, "disks/resize/-1", {"size": 128 * MIB}, "invalid disk -1"),
        (STOPPED, "disks/resize/x", {"size": 128 * MIB}, "invalid value for 'disk'"),
        (STOPPED, "disks/resize/0", {"size": 32 * MIB}, "size must be larger"),
        (STOPPED, "disks/resize/0", {"size": 1 << 62}, "size of disk 0 must be"),
        (STOPPED, "qos/cpu", {"priority": "highest"}, "invalid CPU priority 'highest'"),
        (STOPPED, "qos/cpu", {"priority": "high"}, "no need to modify"),
        (STOPPED, "qos/disk", {"read_iops": -1}, "read_iops must be 0 to"),
        (RUNNING, "qos/network", {"send_speed": 1 << 62}, "send_speed must be 0 to"),
        ("none-such", "qos/cpu", {"priority": "low"}, "invalid guest 'none-such'"),
        ("none-such", "cores", {"cores": 4}, "invalid guest 'none-such'"),
        ("none-such", "monitor/secret", None, "invalid guest 'none-such'"),
    ],
)
def test_a_change_that_cannot_be(
    client: TestClient, cloud: Cloud, guest: str, path: str, body: Any, message: str
) -> None:
    reply = client.put(f"/guests/{guest}/{path}", json=body)
    assert reply.status_code == 200
    assert message in reply.json()["message"]
    assert reply.json()["error_code"] in (400, 404, 409)
    with cloud.database.reading() as session:
        assert list(session.scalars(select(Job))) == []
