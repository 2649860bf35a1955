# SPDX-License-Identifier: Apache-2.0
"""What becomes of a lost cell's guests, and of the cell when it is back: in the database."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.compute_pools.tables import ComputePool
from nano_api.failover import service
from nano_api.failover.supervisor import Supervisor
from nano_api.guests import allocation
from nano_api.guests.tables import Guest
from nano_api.jobs import service as jobs
from nano_api.jobs.service import Lock, Requester, Subject
from nano_api.jobs.tables import Job
from nano_api.operations import OPERATIONS
from nano_api.operations.base import Outcome
from nano_api.storage_pools.tables import StoragePool

GIB = 1 << 30


def guest(number: int, **changes: Any) -> Guest:
    known: dict[str, Any] = {
        "id": f"0a50c4b1-3c1b-4f6b-9d6d-0d3e8f6f1c{number:02}",
        "name": f"team.web{number}",
        "owner": "admin",
        "group": "team",
        "pool": "p",
        "cell": "c1",
        "cores": 2,
        "memory_bytes": GIB,
        "disks": [GIB],
        "template_id": "centos-7",
        "hardware": {},
        "modules": [],
        "mac": f"00:16:3e:00:00:{number:02}",
        "display_port": 5900 + number,
        "monitor_secret_sealed": "",
        "state": "created",
        "running": True,
    }
    return Guest(**{**known, **changes})


@pytest.fixture
def pool(cloud: Cloud) -> Cloud:
    """Three cells with failover; c1, which is lost, has three guests."""
    with cloud.database.transaction() as session:
        session.add(StoragePool(name="nfs1", type="nfs", host="192.0.2.9", target="/export"))
        session.add(ComputePool(name="p", storage="nfs1", failover=True))
        session.flush()
        for name in ("c1", "c2", "c3"):
            size = {"cores": 8, "memory_bytes": 8 * GIB, "memory_available_bytes": 4 * GIB}
            more = {"pool": "p", "alive": name != "c1", "lease": "held", "storage_attached": True}
            session.add(Cell(name=name, address=f"192.0.2.{name[1]}", **size, **more))
        session.flush()
        session.add_all([guest(1), guest(2, running=False), guest(3, memory_bytes=6 * GIB)])
        session.add(guest(4, cell="c2"))
    return cloud


def submit(cloud: Cloud, cell: str = "c1") -> Job | None:
    with cloud.database.transaction() as session:
        return service.take_over(session, cloud, cell)


def test_guests_go_where_there_is_room_and_others_are_told_why_not(pool: Cloud) -> None:
    job = submit(pool)
    assert job is not None
    placed = {each["name"]: each for each in job.parameters["guests"]}
    assert set(placed) == {"team.web1", "team.web2"}
    assert placed["team.web1"]["start"] is True
    assert placed["team.web2"]["start"] is False
    assert "c1" not in job.cells
    assert [each["name"] for each in job.parameters["unplaced"]] == ["team.web3"]
    assert "no cell has enough memory" in job.parameters["unplaced"][0]["reason"]
    with pool.database.reading() as session:
        assert session.get_one(Cell, "c1").lease == "revoked"
        assert {c.name for c in allocation.candidates(session, "p")} == {"c2", "c3"}
        variables = OPERATIONS["cell_failover"].variables(session, pool, job).variables
    assert variables["nano_lost_cell"] == "c1"
    started = [each for of_cell in variables["nano_start"].values() for each in of_cell]
    assert started == [placed["team.web1"]["id"]]
    with pool.database.transaction() as session:
        session.get_one(Cell, "c1").alive = True
        assert {c.name for c in allocation.candidates(session, "p")} == {"c2", "c3"}


def test_what_was_found_elsewhere_is_there_and_the_rest_stays_lost(pool: Cloud) -> None:
    job = submit(pool)
    assert job is not None
    first, second = job.parameters["guests"]
    found = {
        "id": first["id"],
        "incomplete": False,
        "state": "running",
        "cores": 2,
        "memory_bytes": GIB,
        "disks": [{"size_bytes": GIB}],
        "auto_start": False,
        "cpu_priority": "medium",
        "disk_limits": {},
        "network_limits": {},
    }
    error = {"results": [{"id": second["id"], "error": {"message": "no copy"}}]}
    observed: dict[str, dict[str, Any]] = {cell: {"guests": []} for cell in job.cells}
    observed[first["cell"]]["guests"] = [found]
    outcome = Outcome(observed, {"Take the guests over": {second["cell"]: error}})
    with pool.database.transaction() as session:
        results = OPERATIONS["cell_failover"].apply(session, pool, job, outcome)
        moved, left = session.get_one(Guest, first["id"]), session.get_one(Guest, second["id"])
        assert (moved.cell, moved.display_port) == (first["cell"], first["display_port"])
        assert left.cell == "c1"
    by_name = {each["name"]: each for each in results}
    assert by_name[first["name"]]["state"] == "succeeded"
    assert by_name[second["name"]]["error"] == "no copy"
    assert by_name["team.web3"]["state"] == "failed"


@pytest.mark.parametrize(
    ("operation", "state", "moved"),
    [
        ("guest_power", "unknown", True),
        ("guest_power", "running", False),
        ("guest_migrate", "unknown", False),
        ("guest_delete", "unknown", False),
    ],
)
def test_a_job_that_waits_for_the_lost_cell(
    pool: Cloud, operation: str, state: Any, moved: bool
) -> None:
    guest_id = guest(1).id
    with pool.database.transaction() as session:
        old = jobs.submit(
            session,
            operation,
            subject=Subject("guest", guest_id, "team.web1"),
            cells=["c1"],
            requester=Requester("admin", ""),
            locks=[Lock("guest", guest_id)],
        )
        old.state = state
    job = submit(pool)
    assert job is not None
    assert (guest_id in [each["id"] for each in job.parameters["guests"]]) is moved
    with pool.database.reading() as session:
        ended = session.get_one(Job, old.id)
        assert ended.state == ("failed" if moved else state)
        assert not moved or "cell 'c1' was lost" in str(ended.error_message)


def test_nothing_happens_without_failover_or_another_cell(pool: Cloud) -> None:
    with pool.database.transaction() as session:
        for name in ("c2", "c3"):
            session.get_one(Cell, name).alive = False
    assert submit(pool) is None
    with pool.database.transaction() as session:
        session.get_one(Cell, "c2").alive = True
        session.get_one(ComputePool, "p").failover = False
    assert submit(pool) is None
    with pool.database.reading() as session:
        assert session.get_one(Cell, "c1").lease == "held"


def test_a_cell_that_is_back_forgets_what_others_have(pool: Cloud) -> None:
    with pool.database.transaction() as session:
        cell = session.get_one(Cell, "c1")
        cell.alive, cell.lease = True, "revoked"
        job = service.settle_lease(session, pool, "c1")
        assert job is not None
        variables = OPERATIONS["cell_lease"].variables(session, pool, job).variables
        assert variables["nano_elsewhere"] == [guest(4).id]
        assert variables["nano_lease_state"] == "granted"
        OPERATIONS["cell_lease"].apply(session, pool, job, Outcome({}, {}))
        jobs.finish(session, job, "succeeded")
        assert session.get_one(Cell, "c1").lease == "held"
        assert service.settle_lease(session, pool, "c1") is None


def test_a_cell_that_is_back_forgets_what_was_deleted_meanwhile(pool: Cloud) -> None:
    takeover = submit(pool)
    assert takeover is not None
    deleted, moved = (each["id"] for each in takeover.parameters["guests"])
    with pool.database.transaction() as session:
        jobs.finish(session, session.get_one(Job, takeover.id), "succeeded")
        session.get_one(Guest, moved).cell = "c2"
        session.delete(session.get_one(Guest, deleted))
        session.get_one(Cell, "c1").alive = True
        session.flush()
        job = service.settle_lease(session, pool, "c1")
        assert job is not None
        assert set(job.parameters["elsewhere"]) == {deleted, moved, guest(4).id}


def test_the_supervisor_waits_before_it_believes_that_a_cell_is_lost(pool: Cloud) -> None:
    supervisor = Supervisor(pool)
    supervisor.look()
    assert _operations(pool) == [], "never seen alive: it may only not be reached yet"
    with pool.database.transaction() as session:
        session.get_one(Cell, "c1").alive = True
    supervisor.look()
    with pool.database.transaction() as session:
        session.get_one(Cell, "c1").alive = False
    supervisor.look()
    assert _operations(pool) == []
    supervisor._lost_since["c1"] = time.monotonic() - 60
    supervisor.look()
    supervisor.look()
    assert _operations(pool) == ["cell_failover"]


def _operations(cloud: Cloud) -> list[str]:
    with cloud.database.reading() as session:
        return [job.operation for job in jobs.recent(session, limit=10)]
