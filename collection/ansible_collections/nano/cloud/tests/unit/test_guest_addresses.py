# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of guests: what is taken from an answer, and that nobody is waited for too long."""

from __future__ import annotations

import threading
import time
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils import guest_addresses
from ansible_collections.nano.cloud.plugins.module_utils.errors import HypervisorError
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost

from .test_modules import Run, run  # noqa: F401


def card(mac: Any, *addresses: str) -> dict[str, Any]:
    return {"hwaddr": mac, "addrs": [{"addr": each, "prefix": 24, "type": 0} for each in addresses]}


def test_only_what_can_be_an_address() -> None:
    found = guest_addresses.parse(
        {
            "lo": card("00:00:00:00:00:00", "127.0.0.1", "::1"),
            "eth0": card("52:54:00:AA:bb:cc", "10.0.0.5", "fe80::1", "fd00:0:0::5"),
            "odd": card("{{ x }}", "{{ lookup('pipe','id') }}", "224.0.0.1", "0.0.0.0", "1.2.3.4"),
            "down": {"hwaddr": "52:54:00:aa:bb:cd", "addrs": None},
        },
        "agent",
    )
    assert found == [
        {"address": "10.0.0.5", "mac": "52:54:00:aa:bb:cc", "source": "agent"},
        {"address": "fd00::5", "mac": "52:54:00:aa:bb:cc", "source": "agent"},
        {"address": "1.2.3.4", "mac": "", "source": "agent"},
    ]


def test_a_guest_cannot_flood_us() -> None:
    many = {str(n): card(None, f"10.0.{n // 250}.{n % 250 + 1}") for n in range(1000)}
    assert len(guest_addresses.parse(many, "agent")) == 64


class Guest:
    """What the look needs of a domain."""

    def __init__(self, number: int, agent: Any, leases: Any = None) -> None:
        self.id = str(number)
        self._agent = agent
        self._leases = leases or {}

    def leased_addresses(self) -> Any:
        return self._leases

    def agent_addresses(self, wait_seconds: int) -> Any:
        assert 1 <= wait_seconds <= 2
        return self._agent()


def no_agent() -> Any:
    raise HypervisorError("QEMU guest agent is not connected")


def test_who_does_not_answer_is_not_waited_for() -> None:
    hang = threading.Event()

    def hangs() -> Any:
        hang.wait()
        return {}

    answer = {"eth0": card("52:54:00:00:00:01", "fd00::1", "10.0.0.1")}
    lease = {"vnet0": card("52:54:00:00:00:01", "10.0.0.1", "10.0.0.9")}
    guests: list[Any] = [
        Guest(0, lambda: answer, lease),
        Guest(1, no_agent),
        Guest(2, hangs),
        Guest(3, hangs, lease),
    ]
    begun = time.monotonic()
    found = guest_addresses.find_addresses(guests, 0.3)
    assert time.monotonic() - begun < 2
    hang.set()
    both = [(each["address"], each["source"]) for each in found["0"] or ()]
    assert both == [("10.0.0.1", "agent"), ("10.0.0.9", "lease"), ("fd00::1", "agent")]
    assert found["1"] == []
    assert found["2"] is None
    assert [each["source"] for each in found["3"] or ()] == ["lease", "lease"]
    assert guest_addresses.find_addresses([], 1) == {}


def test_the_module(run: Run, host: LibvirtHost) -> None:  # noqa: F811
    assert host.find_domain(None, "test")
    (plain,) = run("guest_info")["guests"]
    assert plain["addresses"] is plain["statistics"] is None
    for options in ({}, {"name": "test"}):
        (found,) = run("guest_info", addresses=True, statistics=True, **options)["guests"]
        assert found["addresses"] == [
            {"address": "192.168.122.3", "mac": "aa:bb:cc:dd:ee:ff", "source": "agent"}
        ]
        assert found["statistics"]["disks"] == []
    run("guest_power", name="test", state="stopped", force=True)
    (found,) = run("guest_info", addresses=True, statistics=True)["guests"]
    assert found["addresses"] == []
    run("guest_power", name="test", state="running")
    assert run("guest_info", name="nobody", addresses=True, statistics=True)["guests"] == []
    refused = run("guest_info", addresses=True, addresses_wait_seconds=-1)
    assert refused["error"]["code"] == "invalid_input"
