# SPDX-License-Identifier: Apache-2.0
"""A short run of ``make fuzz``."""

from __future__ import annotations

from pathlib import Path

from tests.contract.world import a_world
from tests.fuzz.fuzzing import fuzz


def test_a_few_hundred_requests_are_answered_as_described(tmp_path: Path) -> None:
    with a_world(tmp_path, job_wait_seconds=0.01, session_timeout_seconds=3600) as world:
        report = fuzz(world, cases=240, seed=20, every=8)
    assert report.failures == {}
    assert report.cases > 150
    assert {0, 400, 404} <= report.codes.keys()
