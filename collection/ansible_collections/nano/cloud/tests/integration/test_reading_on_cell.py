# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and figures of a guest on a real cell: a real agent, real disks, a real balloon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import (
    MIB,
    Site,
    basis,
    console,
    say,
    wait_for,
)

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def image(site: Site, web: tuple[str, Path]) -> Iterator[dict[str, Any]]:
    """The tiny guest with QEMU's agent."""
    url, folder = web
    (folder / "agent.qcow2").write_bytes(site.lab.image_agent_qcow2.read_bytes())
    yield site.run("image", id="tiny-agent", url=f"{url}/agent.qcow2")["image"]
    assert site.run("image", id="tiny-agent", state="absent").get("changed")


def look(site: Site, guest_id: str, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = site.run("guest_info", id=guest_id, **options)["guests"][0]
    return found


def test_addresses_and_figures(site: Site, image: dict[str, Any], guest_id: str) -> None:
    disks = [{"size_bytes": 2048 * MIB, "image": image["id"]}]
    site.run("guest", **basis(guest_id, disks=disks))
    before = look(site, guest_id, statistics=True)["statistics"]
    # libvirt does not look into the volumes of a guest that does not run: we do.
    assert before["disk_available_bytes"] > 0
    assert before["cpu_time_nanoseconds"] is before["cpu_usage_percent"] is None
    site.run("guest_power", id=guest_id, state="running")
    wait_for("guest-ready on the console", lambda: "guest-ready" in console(site, guest_id), 300)

    _addresses(site, guest_id)
    _figures(site, guest_id)

    site.run("guest_power", id=guest_id, state="stopped", force=True)
    stopped = look(site, guest_id, statistics=True, addresses=True)
    assert stopped["addresses"] == []
    figures = stopped["statistics"]
    assert figures["cpu_usage_percent"] is figures["cpu_time_nanoseconds"] is None
    assert figures["memory_available_bytes"] is None
    assert figures["disk_available_bytes"] > 0


def _addresses(site: Site, guest_id: str) -> None:
    assert look(site, guest_id)["addresses"] is None
    options = {"addresses": True, "addresses_wait_seconds": 30}
    found = wait_for("the agent's word", lambda: look(site, guest_id, **options)["addresses"], 120)
    mac = site.shell(f"virsh domiflist {guest_id} | awk '/bridge/ {{print $5}}'")
    assert (found[0]["source"], found[0]["mac"]) == ("agent", mac)
    assert found[0]["address"] in console(site, guest_id)


def _figures(site: Site, guest_id: str) -> None:
    first = wait_for(
        "the balloon's word",
        lambda: (
            (found := look(site, guest_id, statistics=True)["statistics"])["memory_available_bytes"]
            and found
        ),
    )
    assert 0 < first["memory_available_bytes"] < 128 * MIB
    assert first["memory_resident_bytes"] > 0
    assert first["disk_read_bytes"] == sum(disk["read_bytes"] or 0 for disk in first["disks"]) > 0
    assert first["network_received_bytes"] > 0
    say(site, guest_id, "dd if=/dev/sda of=/dev/null bs=1M count=16 iflag=direct")

    def after_reading() -> Any:
        found = look(site, guest_id, statistics=True)["statistics"]
        return found if found["disk_read_bytes"] >= first["disk_read_bytes"] + 16 * MIB else None

    second = wait_for("what was read", after_reading)
    assert second["cpu_time_nanoseconds"] > first["cpu_time_nanoseconds"]
    assert 0 <= second["cpu_usage_percent"] <= 100
    everyone = site.run("guest_info", statistics=True)["guests"]
    of_it = {each["id"]: each["statistics"] for each in everyone}[guest_id]
    assert of_it["disk_read_bytes"] >= second["disk_read_bytes"]
