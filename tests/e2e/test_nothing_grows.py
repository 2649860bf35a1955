# SPDX-License-Identifier: Apache-2.0
"""After work the API and the cells hold no more than before it. `make soak` does it for hours."""

from __future__ import annotations

import time

import pytest

from tests.e2e.conftest import Service
from tests.soak.resources import DATABASE, resources
from tests.soak.work import Work

pytestmark = pytest.mark.lab

_PATIENCE_SECONDS = 120
#: Whatever one day loses is lost that often; less than that is a connection more or less.
_DAYS = 3


def counts(service: Service) -> dict[str, float]:
    """What is countable; memory comes to rest within hours."""
    pid = service.api.pid
    assert pid is not None
    found = resources(pid, service.api.data, service.lab)
    del found[DATABASE]
    return {name: value for name, value in found.items() if "MiB" not in name}


def test_what_work_takes_it_gives_back(service: Service, image: str) -> None:
    work = Work(service, "work", image)
    stays = work.running_guest()

    def day() -> None:
        work.life()
        work.move(stays)
        work.look(stays)
        work.poll()

    day()
    # Threads and connections are kept for a while after their use, so the most counts.
    before = counts(service)
    for _ in range(_DAYS):
        day()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while more := {
        name: (before[name], value)
        for name, value in counts(service).items()
        if value >= before[name] + _DAYS
    }:
        assert time.monotonic() < deadline, f"(before, now): {more}"
        time.sleep(1)
