# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and figures of guests on a real cell: a real channel to the agent, a real lease."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import (
    MIB,
    Site,
    ask,
    basis,
    console,
    say,
    wait_for,
)

pytestmark = pytest.mark.lab

# The tiny guest has a shell and no qemu-ga: what stands in for it speaks the agent's language on
# the agent's channel, as far as libvirt needs to hear it.
ANSWERS = """
number=$(echo "$line" | sed 's/.*"id": *\\([0-9]*\\).*/\\1/')
mac=$(cat /sys/class/net/eth0/address)
address=$(ip -4 addr show eth0 | sed -n 's/.*inet \\([0-9.]*\\).*/\\1/p')
case "$line" in
*guest-sync*) echo "{\\"return\\": $number}" ;;
*guest-network-get-interfaces*) ANSWER ;;
*) echo '{"error": {"class": "CommandNotFound", "desc": "unknown"}}' ;;
esac
"""
INTERFACES = """
    echo "{\\"return\\": [{\\"name\\": \\"lo\\", \\"hardware-address\\": \\"00:00:00:00:00:00\\",
 \\"ip-addresses\\": [{\\"ip-address\\": \\"127.0.0.1\\", \\"ip-address-type\\": \\"ipv4\\",
 \\"prefix\\": 8}]}, {\\"name\\": \\"eth0\\", \\"hardware-address\\": \\"$mac\\",
 \\"ip-addresses\\": [{\\"ip-address\\": \\"fd00::7\\", \\"ip-address-type\\": \\"ipv6\\",
 \\"prefix\\": 64}, {\\"ip-address\\": \\"$address\\", \\"ip-address-type\\": \\"ipv4\\",
 \\"prefix\\": 24}]}]}" | tr -d '\\n'; echo"""


@pytest.fixture
def running(site: Site, image: dict[str, Any], guest_id: str) -> str:
    assert image["ready"]
    site.run("guest", **basis(guest_id))
    site.run("guest_power", id=guest_id, state="running")
    wait_for("guest-ready on the console", lambda: "guest-ready" in console(site, guest_id))
    return guest_id


def start_agent(site: Site, guest_id: str, answer: str) -> None:
    """Have the guest's shell answer on the agent's channel; the script goes over by its console."""
    script = f"while read -r line; do {ANSWERS.replace('ANSWER', answer)} done"
    for line in ("cat > /tmp/agent <<'END'", *script.splitlines(), "END"):
        say(site, guest_id, line)
    assert ask(site, guest_id, "ls /dev/vport*") != ""
    say(site, guest_id, "device=$(ls /dev/vport* | head -n 1); stty raw -echo <$device 2>/dev/null")
    say(site, guest_id, "sh /tmp/agent <>$device >&0 2>/dev/null &")


def look(site: Site, guest_id: str, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = site.run("guest_info", id=guest_id, **options)["guests"][0]
    return found


def test_addresses_from_the_agent(site: Site, running: str) -> None:
    assert look(site, running)["addresses"] is None
    start_agent(site, running, INTERFACES)
    found = wait_for(
        "the agent's word", lambda: look(site, running, addresses=True)["addresses"], 30
    )
    mac = look(site, running)["network"]["mac"] or site.shell(
        f"virsh domiflist {running} | awk '/bridge/ {{print $5}}'"
    )
    assert found[0]["source"] == "agent"
    assert found[0]["mac"] == mac
    assert found[0]["address"] in console(site, running)
    assert [each["address"] for each in found[1:]] == ["fd00::7"]
    everyone = site.run("guest_info", addresses=True)["guests"]
    assert [each["addresses"] for each in everyone if each["id"] == running] == [found]


def test_an_agent_that_never_answers_is_not_waited_for(site: Site, running: str) -> None:
    start_agent(site, running, "sleep 1000")
    wait_for(
        "libvirt to know of the agent",
        lambda: "state='connected'" in site.shell(f"virsh dumpxml {running} | grep -A1 agent.0"),
    )
    begun = time.monotonic()
    assert not look(site, running, addresses=True, addresses_wait_seconds=2)["addresses"]
    assert time.monotonic() - begun < 8  # with Ansible's own two
    # Its threads and jobs are free again: libvirt was told to be impatient too.
    begun = time.monotonic()
    site.shell(f"virsh dommemstat {running}")
    site.run("guest_power", id=running, state="stopped", force=True)
    assert time.monotonic() - begun < 10


def test_addresses_from_a_lease(site: Site, running: str) -> None:
    network = (
        "<network><name>leases</name><bridge name='virbr7'/><ip address='10.99.7.1' "
        "netmask='255.255.255.0'><dhcp><range start='10.99.7.50' end='10.99.7.60'/></dhcp></ip>"
        "</network>"
    )
    # A cell of ours needs no DHCP server; libvirt's own networks do.
    site.shell("DEBIAN_FRONTEND=noninteractive apt-get install -qq dnsmasq-base")
    site.shell(f'echo "{network}" > /tmp/leases.xml; virsh net-create /tmp/leases.xml')
    try:
        site.shell(f"virsh attach-interface {running} network leases --model virtio --live")
        wait_for(
            "the second card", lambda: "eth1" in ask(site, running, "ls /sys/class/net|tr '\\n' _")
        )
        say(site, running, "ip link set eth1 up; udhcpc -i eth1 -n -q -s /etc/udhcpc.sh")
        found = wait_for("a lease", lambda: look(site, running, addresses=True)["addresses"], 30)
        assert [each["source"] for each in found] == ["lease"]
        assert found[0]["address"].startswith("10.99.7.")
    finally:
        site.shell("virsh net-destroy leases; rm -f /tmp/leases.xml")
        site.shell("apt-get purge -qq dnsmasq-base")


def test_statistics(site: Site, running: str) -> None:
    first = wait_for(
        "the balloon's word",
        lambda: (
            (found := look(site, running, statistics=True)["statistics"])["memory_available_bytes"]
            and found
        ),
    )
    assert 0 < first["memory_available_bytes"] < 128 * MIB
    assert first["memory_resident_bytes"] > 0
    assert first["disk_read_bytes"] == sum(disk["read_bytes"] or 0 for disk in first["disks"]) > 0
    assert first["network_received_bytes"] > 0
    say(site, running, "dd if=/dev/sda of=/dev/null bs=1M count=16 iflag=direct; echo done")
    say(site, running, "while :; do :; done &")
    time.sleep(3)
    second = look(site, running, statistics=True)["statistics"]
    assert second["disk_read_bytes"] >= first["disk_read_bytes"] + 16 * MIB
    assert second["cpu_time_nanoseconds"] > first["cpu_time_nanoseconds"]
    assert 0 < second["cpu_usage_percent"] <= 100
    everyone = {each["id"]: each["statistics"] for each in _all(site)}
    assert everyone[running]["disk_read_bytes"] >= second["disk_read_bytes"]
    site.run("guest_power", id=running, state="stopped", force=True)
    stopped = look(site, running, statistics=True, addresses=True)
    assert stopped["addresses"] == []
    assert stopped["statistics"]["cpu_usage_percent"] in (None, 0)
    assert stopped["statistics"]["memory_available_bytes"] is None
    assert stopped["statistics"]["disk_available_bytes"] > 0


def _all(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.run("guest_info", statistics=True)["guests"]
    return found
