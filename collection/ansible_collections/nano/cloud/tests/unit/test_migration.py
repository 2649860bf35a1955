# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a migration, and the run that goes on beside the module."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import detached_run, migration_run
from ansible_collections.nano.cloud.plugins.module_utils.detached_run import DetachedRun
from ansible_collections.nano.cloud.plugins.module_utils.errors import Conflict, InvalidInput
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_domain import percent_done
from ansible_collections.nano.cloud.plugins.module_utils.migration_spec import migrate_request

OPTIONS: dict[str, Any] = {
    "id": "6a2e3f10-8b1c-4b7e-9a55-0d9d7c1f2e3a",
    "target": "cell2",
    "mode": "auto",
    "bandwidth_bytes_sec": 0,
    "wait_seconds": 0,
    "lock_timeout_seconds": 60,
}


@pytest.mark.parametrize(
    ("target", "uri", "migration_uri"),
    [
        ("cell2", "qemu+ssh://root@cell2/system", "tcp://cell2"),
        ("192.0.2.7", "qemu+ssh://root@192.0.2.7/system", "tcp://192.0.2.7"),
        ("2001:db8::7", "qemu+ssh://root@[2001:db8::7]/system", "tcp://[2001:db8::7]"),
    ],
)
def test_where_to(target: str, uri: str, migration_uri: str) -> None:
    request = migrate_request({**OPTIONS, "target": target})
    assert (request.target_uri, request.migration_uri) == (uri, migration_uri)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": None}, "name"),
        ({"target": "-oProxyCommand=id"}, "target"),
        ({"target": "a b"}, "target"),
        ({"target": "cell2/system?command=id"}, "target"),
        ({"display_port": 80}, "display_port"),
        ({"wait_seconds": -1}, "wait_seconds"),
        ({"bandwidth_bytes_sec": -1}, "bandwidth_bytes_sec"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        migrate_request({**OPTIONS, **changes})
    assert refused.value.context["field"] == field


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DetachedRun:
    monkeypatch.setattr(detached_run, "lock_directory", lambda: str(tmp_path))
    return DetachedRun("test", "it")


def test_a_run_reports_and_ends(run: DetachedRun) -> None:
    def work(report: Callable[[int], None]) -> None:
        report(40)
        time.sleep(0.5)

    assert run.status() is None
    run.start(work, facts={"plan": 1})
    early = run.wait(0.1)
    assert early is not None
    assert (early.state, early.facts) == ("running", {"plan": 1})
    done = run.wait(0)
    assert done is not None
    assert (done.state, done.percent) == ("done", 100)
    run.forget()
    assert run.status() is None


def test_a_run_that_fails_tells_why(run: DetachedRun) -> None:
    def work(_report: Callable[[int], None]) -> None:
        raise Conflict("no", guest="g")

    run.start(work, facts={})
    failed = run.wait(0)
    assert failed is not None
    assert failed.state == "failed"
    assert failed.error == {"code": "conflict", "message": "no", "context": {"guest": "g"}}


def test_a_run_can_be_told_to_stop_and_undoes(run: DetachedRun, tmp_path: Path) -> None:
    def work(_report: Callable[[int], None]) -> None:
        try:
            time.sleep(30)
        finally:
            (tmp_path / "undone").touch()

    run.start(work, facts={})
    run.end()
    ended = run.wait(10)
    assert ended is not None
    assert ended.state == "failed"
    assert (tmp_path / "undone").exists()


def test_a_killed_run_is_told_from_a_failed_one(run: DetachedRun) -> None:
    run.start(lambda _report: time.sleep(30), facts={"plan": 1})
    status = run.status()
    assert status is not None
    os.kill(status.pid, signal.SIGKILL)
    killed = run.wait(10)
    assert killed is not None
    assert (killed.state, killed.facts) == ("killed", {"plan": 1})


@pytest.mark.parametrize(
    ("passes", "milliseconds"),
    [(0, 300), (3, 300), (4, 600), (6, 2400), (8, 9600), (9, 10_000), (5000, 10_000)],
)
def test_an_emulated_guest_may_stand_still_for_longer_with_each_pass(
    passes: int, milliseconds: int
) -> None:
    assert migration_run._pause_milliseconds(passes) == milliseconds


@pytest.mark.parametrize(
    ("figures", "percent"),
    [
        ({"disk_total": 256, "disk_remaining": 256}, 0),
        ({"disk_total": 262, "disk_remaining": 4}, 33),  # all of the memory is still to come
        (
            {"disk_total": 264, "disk_remaining": 4, "memory_total": 512, "memory_remaining": 256},
            66,
        ),
        ({"memory_total": 512, "memory_remaining": 384}, 25),
        ({"memory_total": 512, "memory_remaining": 0}, 100),
        ({"disk_total": 100, "disk_remaining": 200, "memory_total": 1, "memory_remaining": 1}, 0),
    ],
)
def test_percent_is_of_disks_and_memory_together(figures: dict[str, int], percent: int) -> None:
    assert percent_done(figures, 512) == percent
