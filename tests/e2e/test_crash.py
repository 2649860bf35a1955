# SPDX-License-Identifier: Apache-2.0
"""The API is killed at any moment; after its restart every job ends, and nothing is left over."""

from __future__ import annotations

import os
import random
import sqlite3
import time

import httpx
import pytest

from tests.e2e.conftest import POOL, Service, traces
from tests.nano_client import ApiError

pytestmark = pytest.mark.lab

SEED = 20
#: Each costs some ten seconds; a long look: NANO_CRASH_KILLS=100 pytest -m lab THIS_FILE.
KILLS = int(os.environ.get("NANO_CRASH_KILLS", "8"))
#: From the restart to the end of every job.
END_SECONDS = 60


def open_jobs(service: Service) -> list[dict[str, object]]:
    jobs = service.client.get("/jobs/?limit=100")
    return [job for job in jobs if job["state"] not in ("succeeded", "failed", "canceled")]


def table(service: Service, query: str) -> list[tuple[object, ...]]:
    """What the database has, read as a stranger would."""
    with sqlite3.connect(f"file:{service.api.data}/nano.db?mode=ro", uri=True) as connection:
        return connection.execute(query).fetchall()


def wait_for_the_end_of_every_job(service: Service) -> float:
    begun = time.monotonic()
    while left := open_jobs(service):
        assert time.monotonic() - begun < END_SECONDS, left
        time.sleep(0.1)
    return time.monotonic() - begun


def agrees_with_the_cells(service: Service) -> None:
    """Each guest of the database is on its cell and the other way round; no lock is held."""
    wanted: dict[str, list[str]] = {cell.name: [] for cell in service.lab.cells}
    for guest in service.client.get(f"/guest_search/?pool={POOL}"):
        assert guest["created"], guest
        wanted[guest["cell"]] += [guest["id"], f"default {guest['id']}_sys.qcow2"]
    for cell in service.lab.cells:
        found = [line for line in traces(cell) if "qemu-system" not in line]
        assert found == sorted(wanted[cell.name]), cell.name
    assert table(service, "SELECT * FROM job_locks") == []
    assert table(service, "SELECT id FROM guests WHERE state NOT IN ('created', 'failed')") == []
    assert list((service.api.data / "run").iterdir()) == []


def test_kills_during_creations_and_deletions(service: Service, image: str) -> None:
    chance = random.Random(SEED)
    guests: list[str] = []
    longest = 0.0
    outcomes: list[str] = []
    for number in range(KILLS):
        deleting = bool(guests) and chance.random() < 0.4
        if deleting:
            victim = guests.pop(chance.randrange(len(guests)))
            _delete_without_waiting(service, victim)
        else:
            order = service.order(f"crash{number}", from_image=image)
            order["auto_start"] = chance.random() < 0.3
            victim, _job = service.client.create_guest(order)
        time.sleep(chance.uniform(0, 4))
        service.api.kill()
        service.start()
        longest = max(longest, wait_for_the_end_of_every_job(service))
        try:
            guest = service.client.wait_for_guest(victim, 5)
            guests.append(victim)
            outcomes.append("kept" if deleting else "created")
            assert guest["created"]
        except ApiError as error:
            outcomes.append("deleted" if deleting else f"failed: {error.message}")
        agrees_with_the_cells(service)
    for guest_id in guests:
        service.client.call("DELETE", f"/guests/{guest_id}", {"force": True})
    agrees_with_the_cells(service)
    print(f"{KILLS} kills, every job ended within {longest:.1f} s: {outcomes}")  # noqa: T201


def _delete_without_waiting(service: Service, guest_id: str) -> None:
    """The reply comes when the guest is gone; the kill comes earlier."""
    try:
        service.client.call_briefly("DELETE", f"/guests/{guest_id}", {"force": True})
    except httpx.TimeoutException:
        return
