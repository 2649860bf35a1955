# SPDX-License-Identifier: Apache-2.0
"""What counts as flat."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.lab import Lab
from tests.soak.resources import DATABASE, DESCRIPTORS, MEMORY, THREADS, Trend, resources


@pytest.mark.parametrize(
    ("figures", "flat"),
    [
        ([200.0, 203.0, 199.0, 204.0, 201.0, 202.0], True),
        ([60.0, 62.0, 64.0, 66.0, 68.0, 70.0], False),
        ([300.0, 320.0, 345.0, 360.0, 381.0, 400.0], False),
        ([70.0, 68.0, 66.0, 64.0, 62.0, 60.0], True),
    ],
)
def test_a_line_through_the_figures(figures: list[float], flat: bool) -> None:
    trend = Trend.of("some", [(600.0 * number, figure) for number, figure in enumerate(figures)])
    assert trend.flat is flat
    assert ("GROWS" in str(trend)) is not flat


def test_the_pool_of_the_database_may_fill() -> None:
    filling = [(600.0 * number, 4.0 * number) for number in range(12)]
    assert Trend.of(DATABASE, filling[:10]).flat
    assert not Trend.of(DATABASE, filling).flat


def test_what_a_process_holds_is_seen(tmp_path: Path) -> None:
    lab = Lab("none", checkout=tmp_path)
    before = resources(os.getpid(), tmp_path, lab)
    assert before[MEMORY] > 10
    assert before[THREADS] >= 1
    with (tmp_path / "one").open("w"), (tmp_path / "two").open("w"):
        assert resources(os.getpid(), tmp_path, lab)[DESCRIPTORS] == before[DESCRIPTORS] + 2
    with (tmp_path / "nano.db").open("w"), (tmp_path / "nano.db-wal").open("w"):
        found = resources(os.getpid(), tmp_path, lab)
    assert (found[DESCRIPTORS], found[DATABASE]) == (before[DESCRIPTORS], 2)
