# SPDX-License-Identifier: Apache-2.0
"""Looks that ask for less keep what earlier ones have told."""

from __future__ import annotations

from dataclasses import replace

from nano_api.observer import sampling

from ansible_collections.nano.cloud.plugins.module_utils import statistics  # isort: skip

PROCESSORS = {"state.state": 1, "vcpu.current": 1, "vcpu.maximum": 1, "vcpu.0.time": int(1e9)}
MEMORY = {"balloon.usable": 512, "balloon.rss": 1024}
CARDS = {"net.count": 1, "net.0.name": "vnet0", "net.0.rx.bytes": 5, "net.0.tx.bytes": 6}
DISKS = {"block.count": 1, "block.0.name": "sda", "block.0.rd.bytes": 7, "block.0.wr.bytes": 8}


FULL = statistics.parse({**PROCESSORS, **MEMORY, **CARDS, **DISKS})
ALL = sampling._STATE | sampling._WORK | sampling._DISKS


def test_what_was_not_asked_for_is_as_it_was() -> None:
    first = sampling._Last.first(1.0, FULL, ALL)
    second = first.then(3.0, statistics.parse({"state.state": 3}), sampling._STATE)
    assert second.figures == replace(FULL, state="paused")
    assert (second.worked_at, second.cpu_usage_percent) == (1.0, None)


def test_what_was_asked_for_is_new_also_when_there_is_none() -> None:
    first = sampling._Last.first(1.0, FULL, ALL)
    half = {**PROCESSORS, **CARDS, "vcpu.0.time": int(2e9)}
    second = first.then(5.0, statistics.parse(half), sampling._STATE | sampling._WORK)
    assert second.figures.memory_available_bytes is None
    assert (second.figures.network_cards, second.figures.disks) == (FULL.network_cards, FULL.disks)
    assert second.cpu_usage_percent == 25.0
    gone = second.then(7.0, statistics.parse({"state.state": 1}), sampling._STATE | sampling._DISKS)
    assert gone.figures.disks == ()
    assert (gone.figures.network_cards, gone.cpu_usage_percent) == (FULL.network_cards, 25.0)


def test_traffic_of_a_guest_that_was_not_asked_for_it_yet() -> None:
    first = sampling._Traffic(1.0, None).then(3.0, {("read", "sda"): 1000})
    assert first.speeds.read == 0
    assert first.then(5.0, {("read", "sda"): 3000}).speeds.read == 1000
