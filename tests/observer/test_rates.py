# SPDX-License-Identifier: Apache-2.0
"""Speeds from counters."""

from __future__ import annotations

from nano_api.live.rates import Speeds, speeds

BEFORE = {("read", "sda"): 1000, ("write", "sda"): 0, ("receive", "vnet0"): 500}


def test_what_moved_by_the_time() -> None:
    after = {("read", "sda"): 3000, ("write", "sda"): 10, ("receive", "vnet0"): 500}
    assert speeds(BEFORE, after, 2.0) == Speeds(read=1000, write=5)


def test_a_counter_that_began_anew() -> None:
    assert speeds(BEFORE, {**BEFORE, ("read", "sda"): 400}, 2.0) == Speeds(read=200)


def test_a_device_that_came_and_one_that_went() -> None:
    after = {("read", "sda"): 1000, ("send", "vnet1"): 60}
    assert speeds(BEFORE, after, 2.0) == Speeds(send=30)


def test_nothing_is_told_at_first_sight_or_in_no_time() -> None:
    assert speeds(None, BEFORE, 2.0) == speeds({}, BEFORE, 0.0) == Speeds()
