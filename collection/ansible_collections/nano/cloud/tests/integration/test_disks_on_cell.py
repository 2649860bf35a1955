# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's disks and passwords on a real cell; the guest has QEMU's real agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import (
    MIB,
    Site,
    ask,
    basis,
    console,
    wait_for,
)

pytestmark = pytest.mark.lab
POOL = "/var/lib/libvirt/images"


@pytest.fixture(scope="module")
def agent_image(site: Site, web: tuple[str, Path]) -> Iterator[str]:
    url, folder = web
    (folder / "agent.qcow2").write_bytes(site.lab.image_agent_qcow2.read_bytes())
    made = site.run("image", id="agent", url=f"{url}/agent.qcow2")
    assert made["image"]["ready"], made
    yield "agent"
    assert site.run("image", id="agent", state="absent").get("changed")


def order(guest_id: str, **more: Any) -> dict[str, Any]:
    disks = [{"size_bytes": 256 * MIB, "image": "agent"}]
    return basis(guest_id, disks=disks, agent=True, **more)


def disk_sizes(site: Site, guest_id: str) -> dict[int, int]:
    return {each["number"]: each["size_bytes"] for each in site.guest(guest_id)["disks"]}


def allocated(site: Site, guest_id: str, number: int) -> int:
    found = [each for each in site.guest(guest_id)["disks"] if each["number"] == number]
    return int(found[0]["allocated_bytes"])


def volumes(site: Site, guest_id: str) -> list[str]:
    names = site.shell(f"virsh pool-refresh default >/dev/null; ls {POOL} | grep {guest_id}")
    return [name.removeprefix(f"{guest_id}_") for name in names.split()]


def refused(result: dict[str, Any], *words: str) -> None:
    assert result.get("failed"), result
    for word in words:
        assert word in result["msg"], result["msg"]


def test_disks_and_passwords_of_a_running_guest(
    site: Site, agent_image: str, guest_id: str
) -> None:
    assert agent_image
    site.check_then_real_then_again("guest", **order(guest_id))
    account = {"id": guest_id, "user": "admin", "password": "Choose-1"}
    refused(site.run("guest_auth", **account), "is stopped", "start it first")
    site.run("guest_power", id=guest_id, state="running")

    foretold = site.run("guest_auth", "--check", "--diff", timeout_seconds=90, **account)
    real = site.run("guest_auth", "--diff", timeout_seconds=90, **account)
    assert foretold.get("changed"), foretold
    assert real.get("changed"), real
    assert foretold["diff"] == real["diff"]
    assert "Choose-1" not in json.dumps(real)
    assert ask(site, guest_id, "grep admin /etc/shadow | cut -d$ -f2") == "6"
    nobody = site.run("guest_auth", id=guest_id, user="nobody", password="Choose-1")
    refused(nobody, "is nobody a user of guest")

    site.check_then_real_then_again("guest_disk", id=guest_id, disk=1, size_bytes=64 * MIB)
    assert wait_for("disk", lambda: ask(site, guest_id, "cat /sys/block/sdb/size")) == "131072"
    site.check_then_real_then_again("guest_disk", id=guest_id, disk=1, size_bytes=96 * MIB)
    wait_for("its size", lambda: ask(site, guest_id, "cat /sys/block/sdb/size") == "196608")
    assert ask(site, guest_id, "echo kept >/dev/sdb; sync; head -c4 /dev/sdb") == "kept"
    site.check_then_real_then_again("guest_disk", id=guest_id, disk=2, size_bytes=MIB)

    site.check_then_real_then_again("guest_disk", id=guest_id, disk=1, state="absent")
    wait_for("it to go", lambda: ask(site, guest_id, "ls /sys/block | grep -c sdb") == "0")
    assert disk_sizes(site, guest_id) == {0: 256 * MIB, 2: MIB}
    assert "0.qcow2" in volumes(site, guest_id)
    wrong_size = site.run("guest_disk", id=guest_id, disk=1, size_bytes=128 * MIB)
    refused(wrong_size, "was detached and kept")
    site.check_then_real_then_again("guest_disk", id=guest_id, disk=1)
    assert disk_sizes(site, guest_id) == {0: 256 * MIB, 2: MIB, 1: 96 * MIB}
    again = wait_for(
        "it to come back",
        lambda: ask(site, guest_id, "head -qc4 /dev/sd[bd] 2>/dev/null | grep -ao kept | head -n1"),
    )
    assert again == "kept"

    gone = {"id": guest_id, "disk": 1, "state": "absent", "delete_volume": True}
    site.check_then_real_then_again("guest_disk", **gone)
    assert "0.qcow2" not in volumes(site, guest_id)
    refused(site.run("guest_disk", id=guest_id, disk=0, state="absent"), "system disk")
    refused(site.run("guest_disk", id=guest_id, disk=0, state="compacted"), "stop it first")


def test_a_stopped_guests_disks_are_compacted_and_reset(
    site: Site, agent_image: str, guest_id: str
) -> None:
    site.run("guest", **order(guest_id))
    site.run("guest_disk", id=guest_id, disk=1, size_bytes=256 * MIB)
    data = f"{POOL}/{guest_id}_0.qcow2"
    site.shell(f"qemu-io -f qcow2 -c 'write -P 1 0 64M' -c 'write -P 0 4M 60M' {data}")
    assert allocated(site, guest_id, 1) > 60 * MIB

    # What a run that was killed leaves: a volume, and a word that it is at work.
    site.shell(f"virsh vol-create-as default {guest_id}_new.qcow2 1M --format qcow2")
    status = json.dumps({"pid": 1, "began_ticks": "0", "facts": {"disk": 1, "made": "compacted"}})
    site.shell(f"echo '{status}' > /run/lock/nano-cloud/disk-{guest_id}.json")
    compact = {"id": guest_id, "disk": 1, "state": "compacted"}
    site.check_then_real_then_again("guest_disk", **compact)
    assert allocated(site, guest_id, 1) < 8 * MIB
    site.shell(f"qemu-io -r -f qcow2 -c 'read -P 1 0 4M' -c 'read -P 0 4M 252M' {data}")
    assert volumes(site, guest_id) == ["0.qcow2", "sys.qcow2"]
    site.shell(f"qemu-io -f qcow2 -c 'write -P 2 0 1M' {data}")
    assert site.run("guest_disk", **compact).get("changed")

    # Over a snapshot and an image only the layer that is written to is made anew.
    site.run("snapshot", id=guest_id, snapshot="one")
    system = site.guest(guest_id)["disks"][0]["path"]
    below = site.shell(f"qemu-img info {system} | grep -i 'backing file:'")
    site.shell(f"qemu-io -f qcow2 -c 'write -P 3 0 8M' -c 'write -P 0 1M 7M' {system}")
    site.check_then_real_then_again("guest_disk", id=guest_id, disk=0, state="compacted")
    assert site.shell(f"qemu-img info {system} | grep -i 'backing file:'") == below
    site.shell(f"qemu-io -r -f qcow2 -c 'read -P 3 0 1M' -c 'read -P 0 1M 7M' {system}")

    reset = {"id": guest_id, "disk": 0, "state": "reset", "image": agent_image}
    refused(site.run("guest_disk", **reset), "has snapshots of its system disk")
    refused(site.run("guest_disk", id=guest_id, disk=1, state="absent"), "has snapshots")
    site.run("snapshot", id=guest_id, snapshot="one", state="absent")
    site.check_then_real_then_again("guest_disk", **reset)
    copied = site.check_then_real_then_again("guest_disk", full_copy=True, **reset)
    assert copied["guest"]["disks"][0]["image"] == agent_image
    assert site.guest(guest_id)["disks"][0]["size_bytes"] == 256 * MIB
    assert site.run("image", id=agent_image, state="present")["image"]["dependents"] == []
    refused(site.run("guest_disk", **{**reset, "image": "none"}), "image none is not in pool")
    site.run("guest_power", id=guest_id, state="running")
    # What is typed before its shell is there is lost.
    wait_for("boot", lambda: "guest-ready" in console(site, guest_id))
    assert ask(site, guest_id, "echo yes") == "yes"
