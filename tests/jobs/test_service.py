# SPDX-License-Identifier: Apache-2.0
"""Submitting, claiming and ending jobs, on a real database."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from nano_api.cloud import Cloud
from nano_api.errors import Busy, Conflict, NotFound
from nano_api.jobs import service
from nano_api.jobs.service import Lock, Requester, Subject
from nano_api.jobs.tables import Job, JobLock

WHO = Requester("admin", "127.0.0.1")


def submit(cloud: Cloud, guest: str = "g1", *locks: Lock) -> str:
    with cloud.database.transaction() as session:
        job = service.submit(
            session,
            "guest_power",
            subject=Subject("guest", guest, f"team.{guest}"),
            cells=["c1"],
            requester=WHO,
            locks=locks,
        )
        return job.id


def claim(cloud: Cloud) -> Job | None:
    with cloud.database.transaction() as session:
        return service.claim(session, "me")


def locks(cloud: Cloud) -> set[tuple[str, str]]:
    with cloud.database.reading() as session:
        return {(lock.kind, lock.resource_id) for lock in session.scalars(select(JobLock))}


def test_a_busy_object_is_refused_and_its_holder_named(cloud: Cloud) -> None:
    first = submit(cloud)
    with pytest.raises(
        Busy, match=f"guest 'team.g1' is busy: job {first} \\(guest_power, queued\\)"
    ):
        submit(cloud)
    assert locks(cloud) == {("guest", "g1")}


def test_a_refused_job_takes_no_lock(cloud: Cloud) -> None:
    submit(cloud, "g1", Lock("image", "i1"))
    with pytest.raises(Busy):
        submit(cloud, "g2", Lock("image", "i1"))
    assert locks(cloud) == {("guest", "g1"), ("image", "i1")}


def test_the_end_of_a_job_gives_its_locks_back(cloud: Cloud) -> None:
    submit(cloud)
    job = claim(cloud)
    assert job is not None
    with cloud.database.transaction() as session:
        service.finish(session, service.get(session, job.id), "succeeded")
    assert locks(cloud) == set()
    submit(cloud)


def test_jobs_are_claimed_in_order_and_once(cloud: Cloud) -> None:
    wanted = [submit(cloud, f"g{number}") for number in range(20)]
    found: list[str] = []

    def work() -> None:
        while (job := claim(cloud)) is not None:
            found.append(job.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(wanted)
    assert found[0] == wanted[0]


def test_an_unknown_job_keeps_its_locks_and_waits_before_it_is_looked_at_again(
    cloud: Cloud,
) -> None:
    submit(cloud)
    job = claim(cloud)
    assert job is not None
    with cloud.database.transaction() as session:
        service.postpone(session, service.get(session, job.id), "unreachable", "c1 is silent")
    assert claim(cloud) is None
    assert locks(cloud) == {("guest", "g1")}
    with cloud.database.reading() as session:
        found = service.get(session, job.id)
    assert (found.state, found.phase, found.error_message) == ("unknown", "settle", "c1 is silent")


def test_a_percentage_never_falls(cloud: Cloud) -> None:
    job_id = submit(cloud)
    for percent, step in ((30, "Fetch"), (10, "Fetch again"), (40, "Make")):
        with cloud.database.transaction() as session:
            service.show_progress(session, job_id, percent, step)
    with cloud.database.reading() as session:
        events = service.events_after(session, job_id, 0)
    assert [event.data["percent"] for event in events] == [0, 30, 30, 40]
    assert [event.number for event in events] == [1, 2, 3, 4]


def test_events_can_be_taken_up_where_one_left_off(cloud: Cloud) -> None:
    job_id = submit(cloud)
    with cloud.database.transaction() as session:
        service.show_progress(session, job_id, 5, "Look")
    with cloud.database.reading() as session:
        assert [event.number for event in service.events_after(session, job_id, 1)] == [2]


def test_an_ended_job_cannot_be_canceled(cloud: Cloud) -> None:
    job_id = submit(cloud)
    with cloud.database.transaction() as session:
        service.finish(session, service.get(session, job_id), "failed", error_message="x")
    with cloud.database.transaction() as session, pytest.raises(Conflict, match="ended already"):
        service.request_cancel(session, job_id)


def test_an_unknown_id_is_said_so(cloud: Cloud) -> None:
    with cloud.database.reading() as session, pytest.raises(NotFound, match="no job 'x'"):
        service.get(session, "x")


def test_only_an_end_ends_a_job(cloud: Cloud) -> None:
    job_id = submit(cloud)
    with cloud.database.transaction() as session, pytest.raises(ValueError, match="does not end"):
        service.finish(session, service.get(session, job_id), "unknown")
