# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses by DHCP from a real cell: packets of a client on a bridge that nobody else is on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import Site

pytestmark = pytest.mark.lab

BRIDGE = "leases0"
KNOWN, OTHER, UNKNOWN = (f"00:16:3e:77:00:0{number}" for number in (1, 2, 3))
# What the client is told, one word a line; it takes no address, so that each question is new.
SCRIPT = '[ "$1" = bound ] && printf "%s\\n" "$ip/$mask" "$router" "$dns"'


class Client:
    """A network card in a namespace of the cell, on a bridge without any address."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def plug_in(self) -> None:
        shutil.copyfile("/bin/busybox", self._site.cell.root / "usr/local/bin/busybox")
        self._site.shell(
            f"ip link add {BRIDGE} type bridge; ip link set {BRIDGE} up; ip netns add client; "
            f"ip link add card netns client type veth peer name plug0; "
            f"ip link set plug0 master {BRIDGE} up; chmod 755 /usr/local/bin/busybox; "
            f"printf '#!/bin/sh\\n%s\\n' '{SCRIPT}' > /run/told; chmod 755 /run/told"
        )

    def unplug(self) -> None:
        self._site.shell(f"ip netns del client; ip link del {BRIDGE}; rm /run/told")

    def ask(self, mac: str) -> list[str]:
        """(address, router, name servers) that the card with this MAC is offered; none: []."""
        told = self._site.shell(
            f"ip -n client link set card down; ip -n client link set card address {mac} up; "
            "ip netns exec client busybox udhcpc -f -n -q -i card -t 4 -T 2 -s /run/told "
            "2>/dev/null || true"
        )
        return told.splitlines()


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    client = Client(site)
    cards = [{"mac": mac} for mac in (KNOWN, OTHER, UNKNOWN)]
    site.run("address_lease", state="absent", leases=cards)  # A lab that was kept may have them.
    client.plug_in()
    yield client
    client.unplug()
    site.run("address_lease", state="absent", leases=cards)


def lease(mac: str, address: str, **more: Any) -> dict[str, Any]:
    return {"mac": mac, "address": address, "bridge": BRIDGE, **more}


def test_known_cards_are_answered_and_no_others(site: Site, client: Client) -> None:
    first = lease(KNOWN, "10.99.1.7/24", gateway="10.99.1.1", dns=["192.0.2.53", "192.0.2.54"])
    site.check_then_real_then_again("address_lease", leases=[first])
    assert client.ask(KNOWN) == ["10.99.1.7/24", "10.99.1.1", "192.0.2.53 192.0.2.54"]
    assert client.ask(UNKNOWN) == []

    # Another network on the same bridge; the first card goes on to be answered.
    second = lease(OTHER, "10.99.2.130/25", gateway="10.99.2.129")
    made = site.check_then_real_then_again("address_lease", leases=[second])
    assert [each["mac"] for each in made["leases"]] == [KNOWN, OTHER]
    assert client.ask(OTHER) == ["10.99.2.130/25", "10.99.2.129"]
    assert client.ask(KNOWN)[0] == "10.99.1.7/24"

    moved = lease(KNOWN, "10.99.1.8/24", gateway="10.99.1.1")
    site.check_then_real_then_again("address_lease", leases=[moved])
    assert client.ask(KNOWN)[0] == "10.99.1.8/24"

    taken = site.run("address_lease", leases=[lease(UNKNOWN, "10.99.1.8/24")])
    assert taken["error"]["code"] == "conflict"
    site.check_then_real_then_again("address_lease", state="absent", leases=[{"mac": KNOWN}])
    assert client.ask(KNOWN) == []
    assert client.ask(OTHER)[0] == "10.99.2.130/25"
    site.run("address_lease", state="absent", leases=[{"mac": OTHER}])
    assert site.shell(f"systemctl is-active nano-dhcp@{BRIDGE} || true") == "inactive"
    assert site.shell(f"ls -d /etc/nano-cloud/dhcp/{BRIDGE} 2>/dev/null || true") == ""
