# SPDX-License-Identifier: Apache-2.0
"""Looks that ask for less keep what earlier ones have told."""

from __future__ import annotations

from dataclasses import replace

from nano_api.observer import sampling

from ansible_collections.nano.cloud.plugins.module_utils import statistics  # isort: skip

QUICK = {"state.state": 1, "vcpu.current": 1, "vcpu.maximum": 1, "vcpu.0.time": 9}
MEMORY = {"balloon.usable": 512, "balloon.rss": 1024}
CARDS = {"net.count": 1, "net.0.name": "vnet0", "net.0.rx.bytes": 5, "net.0.tx.bytes": 6}
DISKS = {"block.count": 1, "block.0.name": "sda", "block.0.rd.bytes": 7, "block.0.wr.bytes": 8}


def test_what_was_not_asked_for_is_as_it_was() -> None:
    full = statistics.parse({**QUICK, **MEMORY, **CARDS, **DISKS})
    quick = statistics.parse({**QUICK, "vcpu.0.time": 10})
    found = sampling._with_older(quick, full, sampling._ALWAYS)
    assert found == replace(full, cpu_time_nanoseconds=10)


def test_what_was_asked_for_is_new_also_when_there_is_none() -> None:
    full = statistics.parse({**QUICK, **MEMORY, **CARDS, **DISKS})
    found = sampling._with_older(
        statistics.parse({**QUICK, **CARDS}), full, sampling._ALWAYS | sampling._MEMORY
    )
    assert found.memory_available_bytes is None
    assert (found.network_cards, found.disks) == (full.network_cards, full.disks)


def test_traffic_of_a_guest_that_was_not_asked_for_it_yet() -> None:
    first = sampling._Traffic(1.0, None).then(3.0, {("read", "sda"): 1000})
    assert first.speeds.read == 0
    assert first.then(5.0, {("read", "sda"): 3000}).speeds.read == 1000
