# SPDX-License-Identifier: GPL-3.0-or-later
"""Security policies proved by packets: a real guest, asked from outside its cell."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import (
    Site,
    ask,
    basis,
    console,
    say,
    wait_for,
)

pytestmark = pytest.mark.lab

OPEN, CLOSED = 8080, 8081


@pytest.fixture
def policy(site: Site) -> Iterator[str]:
    yield "proof"
    site.run("security_policy", name="proof", state="absent")
    assert site.shell("virsh nwfilter-list | grep nano-proof || true") == ""


@pytest.fixture
def address(site: Site, image: dict[str, Any], policy: str, guest_id: str) -> str:
    """The address of a guest that has the policy and listens on both ports."""
    assert image["ready"]
    made = site.check_then_real_then_again("security_policy", name=policy)
    assert made["policy"]["default_action"] == "accept"
    made = site.run("guest", **basis(guest_id, security_policy=policy))
    assert "error" not in made, made
    site.run("guest_power", id=guest_id, state="running")
    wait_for("boot", lambda: "guest-ready" in console(site, guest_id))
    say(site, guest_id, f"for p in {OPEN} {CLOSED}; do nc -ll -p $p -e cat & done")
    wait_for("the listeners", lambda: ask(site, guest_id, "netstat -ltn | grep -c 808") == "2")
    line = next(
        each for each in console(site, guest_id).splitlines() if each.startswith("guest-ready")
    )
    return line.split()[2]


def answers(address: str, port: int, seconds: float = 0.5) -> bool:
    """Whether somebody there takes a connection and echoes a word."""
    try:
        with socket.create_connection((address, port), timeout=seconds) as connection:
            connection.settimeout(seconds)
            connection.sendall(b"hello\n")
            return connection.recv(6) == b"hello\n"
    except OSError:
        return False


class Stream:
    """Asks a port again and again until it is stopped, and counts what it hears."""

    def __init__(self, address: str, port: int, seconds: float) -> None:
        self.heard: Counter[bool] = Counter()
        self._stopping = threading.Event()
        self._asking = threading.Thread(target=self._ask, args=(address, port, seconds))
        self._asking.start()

    def _ask(self, address: str, port: int, seconds: float) -> None:
        while not self._stopping.is_set():
            self.heard[answers(address, port, seconds)] += 1
            time.sleep(0.02)

    def stop(self) -> Counter[bool]:
        self._stopping.set()
        self._asking.join()
        return self.heard


def drop_except(*ports: int) -> dict[str, Any]:
    rules = [{"action": "accept", "protocol": "tcp", "ports": [str(port)]} for port in ports]
    return {"default_action": "drop", "rules": rules}


def test_packets_decide_while_the_policy_changes(
    site: Site, policy: str, address: str, guest_id: str
) -> None:
    wait_for("an answer of the open guest", lambda: answers(address, OPEN))
    assert answers(address, CLOSED)
    changed = site.check_then_real_then_again("security_policy", name=policy, **drop_except(OPEN))
    assert changed["guests"] == [f"test.{guest_id[:8]}"]
    wait_for("the rules", lambda: not answers(address, CLOSED))
    assert answers(address, OPEN)

    kept = socket.create_connection((address, OPEN), timeout=5)
    kept.settimeout(5)
    good, bad = Stream(address, OPEN, 3), Stream(address, CLOSED, 0.2)
    for number in range(10):
        other = drop_except(OPEN, 9000 + number)
        changed = site.run("security_policy", name=policy, **other)
        assert changed.get("changed"), changed
        kept.sendall(b"%05d\n" % number)
        assert kept.recv(6) == b"%05d\n" % number
    right, wrong = good.stop(), bad.stop()
    kept.close()
    print(  # noqa: T201
        f"ten changes: port {OPEN} answered {right[True]} of {right.total()} times, "
        f"port {CLOSED} {wrong[True]} of {wrong.total()} times"
    )
    assert right[True] >= 50
    assert wrong[False] >= 20
    assert wrong[True] == 0
    assert right[False] == 0

    # What the guest itself asks for is answered, whatever the rules say of others.
    site.run("security_policy", name=policy, default_action="drop", rules=[])
    wait_for("the last rules", lambda: not answers(address, OPEN))
    host = site.lab.network.guest_lan_host_address
    assert ask(site, guest_id, f"ping -c 1 -W 2 {host} > /dev/null && echo out") == "out"

    refused = site.run("security_policy", name=policy, state="absent")
    assert refused["error"]["code"] == "conflict"
    assert f"in use by test.{guest_id[:8]}" in refused["msg"]
    site.check_then_real_then_again("guest", id=guest_id, security_policy="")
    assert answers(address, CLOSED)
    site.check_then_real_then_again("security_policy", name=policy, state="absent")


def test_a_policy_is_read_back_as_libvirt_writes_it(site: Site, policy: str) -> None:
    rules = [
        {
            "action": "accept",
            "protocol": "tcp",
            "ports": ["22", "8000-8010"],
            "source": "192.0.2.0/24",
        },
        {"action": "drop", "protocol": "udp", "ports": ["53"], "target": "198.51.100.7"},
        {"action": "accept", "protocol": "icmp"},
        {"action": "drop", "protocol": "all", "source": "2001:db8::/32"},
    ]
    site.check_then_real_then_again(
        "security_policy", name=policy, default_action="drop", rules=rules
    )
    refused = site.run("security_policy", name=policy, rules=[{"action": "drop", "source": "x"}])
    assert refused["error"]["code"] == "invalid_input"
