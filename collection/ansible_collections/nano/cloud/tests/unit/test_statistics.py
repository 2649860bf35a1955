# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's bulk statistics as our figures."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import statistics

RUNNING: dict[str, Any] = {
    "state.state": 1,
    "state.reason": 1,
    "cpu.time": 9_000_000_000,
    "balloon.current": 131072,
    "balloon.maximum": 131072,
    "balloon.unused": 60000,
    "balloon.usable": 50000,
    "balloon.rss": 220000,
    "vcpu.current": 2,
    "vcpu.maximum": 4,
    "vcpu.0.time": 3_000_000_000,
    "vcpu.1.time": 1_000_000_000,
    "net.count": 2,
    "net.0.name": "vnet0",
    "net.0.rx.bytes": 100,
    "net.0.tx.bytes": 10,
    "net.1.name": "vnet1",
    "net.1.rx.bytes": 5,
    "net.1.tx.bytes": 6,
    "block.count": 2,
    "block.0.name": "sda",
    "block.0.rd.reqs": 7,
    "block.0.rd.bytes": 7000,
    "block.0.wr.reqs": 2,
    "block.0.wr.bytes": 300,
    "block.0.allocation": 1000,
    "block.0.capacity": 5000,
    "block.1.name": "sdb",
}


def later(**changes: int) -> dict[str, Any]:
    return {**RUNNING, **{key.replace("__", "."): value for key, value in changes.items()}}


def test_every_figure() -> None:
    figures = statistics.parse(RUNNING)
    assert (figures.state, figures.cores) == ("running", 2)
    assert statistics.as_values(figures, 12.5) == {
        "cpu_usage_percent": 12.5,
        "cpu_time_nanoseconds": 4_000_000_000,
        "memory_available_bytes": 50000 * 1024,
        "memory_resident_bytes": 220000 * 1024,
        "disk_read_bytes": 7000,
        "disk_written_bytes": 300,
        "disk_read_requests": 7,
        "disk_write_requests": 2,
        "disk_available_bytes": 4000,
        "network_received_bytes": 105,
        "network_sent_bytes": 16,
        "disks": [
            {
                "target": "sda",
                "read_bytes": 7000,
                "written_bytes": 300,
                "read_requests": 7,
                "write_requests": 2,
                "capacity_bytes": 5000,
                "allocated_bytes": 1000,
            },
            {
                "target": "sdb",
                "read_bytes": None,
                "written_bytes": None,
                "read_requests": None,
                "write_requests": None,
                "capacity_bytes": None,
                "allocated_bytes": None,
            },
        ],
        "network_cards": [
            {"name": "vnet0", "received_bytes": 100, "sent_bytes": 10},
            {"name": "vnet1", "received_bytes": 5, "sent_bytes": 6},
        ],
    }


@pytest.mark.parametrize("raw", [{}, {"state.state": 5, "state.reason": 1}, {"state.state": 99}])
def test_what_libvirt_does_not_tell_is_none(raw: dict[str, Any]) -> None:
    figures = statistics.parse(raw)
    assert figures.state in ("unknown", "stopped")
    values = statistics.as_values(figures, None)
    assert values.pop("disks") == values.pop("network_cards") == []
    assert set(values.values()) == {None}


def test_the_time_of_a_guest_that_does_not_run_is_libvirts_own() -> None:
    stopped = {"state.state": 5, "cpu.time": 1_130_000_000, "vcpu.current": 2, "vcpu.maximum": 2}
    assert statistics.parse(stopped).cpu_time_nanoseconds is None


def test_old_drivers() -> None:
    old = {key: value for key, value in RUNNING.items() if key != "balloon.usable"}
    assert statistics.parse(old).memory_available_bytes == 60000 * 1024
    old = {key: value for key, value in RUNNING.items() if not key.startswith("vcpu.")}
    assert statistics.parse(old).cpu_time_nanoseconds == 9_000_000_000


@pytest.mark.parametrize(
    ("after", "seconds", "percent"),
    [
        (later(vcpu__0__time=4_000_000_000), 1.0, 50.0),
        (later(vcpu__0__time=3_000_000_000), 1.0, 0.0),
        (later(vcpu__0__time=30_000_000_000), 1.0, 100.0),  # clocks differ by a little
        (later(vcpu__0__time=0), 1.0, None),  # started anew
        (later(), 0.0, None),
        ({"state.state": 5}, 1.0, None),
    ],
)
def test_use_of_the_processors(after: dict[str, Any], seconds: float, percent: float) -> None:
    before = statistics.parse(RUNNING)
    found = statistics.cpu_usage_percent(before, statistics.parse(after), seconds)
    assert found == percent
