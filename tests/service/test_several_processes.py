# SPDX-License-Identifier: Apache-2.0
"""Several services on one PostgreSQL database: jobs of a dead one go on, those of others stay."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.jobs import service
from nano_api.jobs.presence import Presence
from nano_api.jobs.service import Requester, Subject
from nano_api.live.figures import is_fresh
from nano_api.main import create_cloud
from nano_api.observer.observer import Observer
from nano_api.settings import Settings
from nano_api.worker.recovery import Watch, recover
from tests.observer.conftest import wait_for


@pytest.fixture
def clouds(tmp_path: Path, postgresql_url: str) -> Iterator[list[Cloud]]:
    """Two services that share a database, each with its own data folder."""
    clouds = [
        create_cloud(Settings(data=tmp_path / name, database_url=postgresql_url))
        for name in ("one", "two")
    ]
    yield clouds
    for cloud in clouds:
        cloud.database.close()


def running_job(cloud: Cloud, worker: str) -> str:
    with cloud.database.transaction() as session:
        service.submit(
            session,
            "guest_power",
            subject=Subject("guest", worker, f"team.{worker}"),
            cells=[],
            requester=Requester("admin", ""),
        )
    with cloud.database.transaction() as session:
        job = service.claim(session, worker)
    assert job is not None
    (cloud.settings.run_folder / f"{job.id}-1").mkdir()
    return job.id


def state_of(cloud: Cloud, job_id: str) -> str:
    with cloud.database.reading() as session:
        return service.get(session, job_id).state


def test_the_jobs_of_a_living_worker_are_left_alone(
    clouds: list[Cloud], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watch, "patience_seconds", 0.2)
    one, two = clouds
    first, second = Presence(one.database, "first"), Presence(two.database, "second")
    first.start()
    second.start()
    living = running_job(one, "first")
    dead = running_job(one, "never-started")
    assert second.lives("first")
    assert not second.lives("never-started")
    assert recover(two, second) == 0
    watch = Watch(two, second)
    watch.start()
    deadline = time.monotonic() + 30
    while state_of(two, dead) == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert state_of(two, living) == "running"
    first.stop()  # as its death would
    while state_of(two, living) == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    watch.stop()
    second.stop()


def test_a_start_removes_folders_of_runs_that_are_gone_only(clouds: list[Cloud]) -> None:
    one, _two = clouds
    going_on = running_job(one, "first")
    (one.settings.run_folder / "00000000-0000-0000-0000-000000000000-1").mkdir()
    recover(one, Presence(one.database, "mine"))
    assert [path.name for path in one.settings.run_folder.iterdir()] == [f"{going_on}-1"]


def test_one_observes_and_the_next_goes_on(
    clouds: list[Cloud], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nano_api.observer.observer.RENEW_SECONDS", 0.2)
    connection = {"nano_libvirt_uri": "test:///default", "cell_pool_name": "default-pool"}
    with clouds[0].database.transaction() as session:
        session.add(Cell(name="c1", address="192.0.2.1", pool="default", connection=connection))
    observers = [Observer(cloud) for cloud in clouds]
    for cloud, observer in zip(clouds, observers, strict=True):
        cloud.settings.runtime_folder.mkdir(exist_ok=True)
        observer.start()

    def watchers() -> list[int]:
        return [number for number, cloud in enumerate(clouds) if cloud.live.in_memory()]

    def figures(number: int) -> bool:
        with clouds[number].database.reading() as session:
            return is_fresh(clouds[number].live.of(session, "c1"))

    wait_for(watchers)
    (first,) = watchers()
    second = 1 - first
    wait_for(lambda: figures(first) and figures(second))
    assert watchers() == [first]
    observers[first].stop()
    wait_for(lambda: second in watchers())
    wait_for(lambda: figures(second))
    observers[second].stop()


def test_with_sqlite_all_running_jobs_are_taken_up(tmp_path: Path) -> None:
    cloud = create_cloud(Settings(data=tmp_path / "data"))
    job = running_job(cloud, "before-the-crash")
    assert recover(cloud, Presence(cloud.database, "mine")) == 1
    assert state_of(cloud, job) == "queued"
    assert list(cloud.settings.run_folder.iterdir()) == []
    cloud.database.close()
