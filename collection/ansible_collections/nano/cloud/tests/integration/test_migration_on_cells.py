# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests move between two real cells: live and cold, with their disks, refused and canceled."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import (
    GIB,
    MIB,
    REPOSITORY,
    Site,
    basis,
    console,
    wait_for,
)

pytestmark = pytest.mark.lab


@pytest.fixture
def guest(site: Site, other_site: Site, image: dict[str, Any], guest_id: str) -> Any:
    """A guest with two disks, the first on an image that the other cell does not have."""
    assert image["ready"]
    disks = [{"size_bytes": 2 * GIB, "image": "tiny"}, {"size_bytes": 64 * MIB}]
    made = site.run("guest", **basis(guest_id, disks=disks, auto_start=True, cloud_init={}))
    assert "error" not in made, made
    yield guest_id
    other_site.run("guest", id=guest_id, state="absent", force=True)
    assert traces(other_site, guest_id) == ""


def traces(where: Site, guest_id: str) -> str:
    files = f"find /var/lib/libvirt /run/lock/nano-cloud -name '*{guest_id}*' -not -name '*.lock'"
    return where.shell(f"{files}; virsh domstate {guest_id} 2> /dev/null || true")


def states(site: Site, other_site: Site, guest_id: str) -> tuple[str, str]:
    look = f"virsh domstate {guest_id} 2> /dev/null || true"
    return site.shell(look), other_site.shell(look)


def test_a_running_guest_moves_with_its_disks(site: Site, other_site: Site, guest: str) -> None:
    site.run("guest_power", id=guest, state="running")
    wait_for("boot", lambda: "guest-ready" in console(site, guest))
    target = other_site.cell.address
    moved = site.check_then_real_then_again("guest_migrate", id=guest, target=target)
    assert moved["migration"]["mode"] == "live"
    assert moved["migration"]["storage"] == "copied"
    assert moved["migration"]["ready"]
    assert states(site, other_site, guest) == ("", "running")
    assert traces(site, guest) == ""
    there = other_site.guest(guest)
    assert (there["state"], there["auto_start"]) == ("running", True)
    assert [disk["size_bytes"] for disk in there["disks"]] == [2 * GIB, 64 * MIB]
    path = there["disks"][0]["path"]
    info = json.loads(other_site.shell(f"qemu-img info -U --output=json {path}"))
    assert "backing-filename" not in info
    # It lives: it hears the power button, boots again from its own copy, and moves back, cold.
    assert other_site.run("guest_power", id=guest, state="rebooted").get("changed")
    wait_for("boot", lambda: "guest-ready" in console(other_site, guest))
    other_site.run("guest_power", id=guest, state="stopped")
    back = other_site.check_then_real_then_again(
        "guest_migrate", id=guest, target=site.cell.address
    )
    assert back["migration"]["mode"] == "cold"
    assert states(site, other_site, guest) == ("shut off", "")
    assert traces(other_site, guest) == ""


def test_a_stopped_guest_takes_the_image_along(site: Site, other_site: Site, guest: str) -> None:
    target = other_site.cell.address
    site.shell(f"qemu-io -c 'write -P 0x5a 1M 64k' {disk_path(site, guest, 1)}")
    site.check_then_real_then_again("guest_migrate", id=guest, target=target, mode="cold")
    assert traces(site, guest) == ""
    read = f"qemu-io -r -c 'read -P 0x5a 1M 64k' {disk_path(other_site, guest, 1)}"
    assert "verification failed" not in other_site.shell(read)
    other_site.run("guest_power", id=guest, state="running")
    wait_for("boot", lambda: "guest-ready" in console(other_site, guest))


def disk_path(where: Site, guest_id: str, index: int) -> str:
    return str(where.guest(guest_id)["disks"][index]["path"])


def test_what_cannot_work_is_refused_before_it_begins(
    site: Site, other_site: Site, guest: str
) -> None:
    target = other_site.cell.address

    def refusal(**options: Any) -> str:
        refused = site.run("guest_migrate", **{"id": guest, "target": target, **options})
        assert refused.get("failed"), refused
        assert states(site, other_site, guest)[1] == ""
        return f"{refused['error']['code']}: {refused['msg']}"

    assert "is this host itself" in refusal(target=site.cell.address)
    assert refusal(target="192.0.2.77").startswith("unreachable")
    assert "no name or address" in refusal(target="-oProxyCommand=x")
    assert refusal(id="6a2e3f10-0000-4000-8000-000000000000").startswith("not_found")
    site.run("guest", id=guest, network={"bridge": "br7"})
    assert "has no bridge br7" in refusal()
    site.run("guest", id=guest, network={"bridge": "br0"})
    other_site.shell(f"virsh vol-create-as default {guest}_0.qcow2 1M --format qcow2")
    assert "belongs to no guest there" in refusal()
    other_site.shell(f"virsh vol-delete {guest}_0.qcow2 default")
    site.run("guest_power", id=guest, state="running")
    assert "stop it, or migrate it live" in refusal(mode="cold")
    site.run("guest_power", id=guest, state="stopped", force=True)
    # One that failed while nobody looked says so to the next who does.
    ended = {"pid": 1, "began_ticks": "0", "state": "failed", "ended": time.time()}
    error = {"code": "unreachable", "message": "the cable", "context": {}}
    told = json.dumps({**ended, "error": error, "facts": {"target": target}})
    status = f"/run/lock/nano-cloud/migration-{guest}.json"
    site.cell.run(["sh", "-c", f"cat > {status}"], input_text=told)
    assert refusal() == "unreachable: the cable"
    assert site.shell(f"ls {status} || true") == ""


def test_a_migration_goes_on_alone_and_can_be_canceled(
    site: Site, other_site: Site, guest: str
) -> None:
    site.run("guest_power", id=guest, state="running")
    wait_for("boot", lambda: "guest-ready" in console(site, guest))
    # A disk full of data, at a speed that leaves time to look.
    site.shell(f"virsh blockresize {guest} sdb 64M")
    options = {"id": guest, "target": other_site.cell.address, "bandwidth_bytes_sec": MIB}
    begun = site.run("guest_migrate", **options, wait_seconds=2)
    assert begun["changed"]
    assert begun["migration"]["ready"] is False
    busy = site.run("guest", id=guest, owner="x", lock_timeout_seconds=0)
    assert "is being changed by process" in busy["msg"]
    canceled = site.run("guest_migrate", **options, state="canceled")
    assert canceled["changed"]
    assert states(site, other_site, guest) == ("running", "")
    assert traces(other_site, guest) == ""
    assert site.run("guest_migrate", **options, state="canceled").get("changed") is False
    del options["bandwidth_bytes_sec"]
    moved = site.run("guest_migrate", **options)
    assert moved["migration"]["ready"], moved
    assert states(site, other_site, guest) == ("", "running")


def test_firmware_and_tpm_go_along(site: Site, other_site: Site, guest_id: str) -> None:
    disks = [{"size_bytes": 64 * MIB}]
    options = basis(guest_id, disks=disks, firmware="uefi", secure_boot=True, tpm=True)
    site.run("guest", **options)
    site.run("guest_power", id=guest_id, state="running")
    wait_for("UEFI", lambda: "BdsDxe" in console(site, guest_id))
    site.run("guest_power", id=guest_id, state="stopped", force=True)
    site.run("guest", id=guest_id, secure_boot=False)
    site.run("guest_power", id=guest_id, state="running")
    wait_for("UEFI", lambda: "UEFI Interactive Shell" in console(site, guest_id))
    state = (
        f"/var/lib/libvirt/qemu/nvram/{guest_id}* /var/lib/libvirt/swtpm/{guest_id}/tpm2/*.perm*"
    )
    sums = f"md5sum {state}"
    before = site.shell(sums)
    assert len(before.splitlines()) == 3, before
    live = site.run("guest_migrate", id=guest_id, target=other_site.cell.address)
    assert live["migration"]["mode"] == "live"
    assert traces(site, guest_id) == ""
    there = other_site.shell(sums)
    assert len(there.splitlines()) == 3, there
    assert set(before.splitlines()[:2]) == set(there.splitlines()[:2])
    other_site.run("guest_power", id=guest_id, state="stopped", force=True)
    there = other_site.shell(sums)
    back = other_site.run("guest_migrate", id=guest_id, target=site.cell.address)
    assert back["migration"]["mode"] == "cold"
    assert traces(other_site, guest_id) == ""
    assert site.shell(sums) == there
    started = site.run("guest_power", id=guest_id, state="running")
    assert started["guest"]["state"] == "running"
    wait_for("UEFI", lambda: "UEFI Interactive Shell" in console(site, guest_id))


@pytest.mark.parametrize("delay_seconds", [0.5, 2.5])
def test_a_killed_migration_is_settled_by_the_next_run(
    site: Site, other_site: Site, guest: str, delay_seconds: float
) -> None:
    started = site.run("guest_power", id=guest, state="running")
    assert "error" not in started, started
    options = {"id": guest, "target": other_site.cell.address}
    process = subprocess.Popen(
        site.command("guest_migrate", **options), cwd=REPOSITORY, stdout=subprocess.DEVNULL
    )
    status = f"/run/lock/nano-cloud/migration-{guest}.json"
    wait_for("its beginning", lambda: site.shell(f"cat {status} 2> /dev/null || true"))
    time.sleep(delay_seconds)
    site.shell(f"kill -9 $(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p' {status}) || true")
    process.wait(timeout=60)
    site.forget()
    moved = site.run("guest_migrate", **options)
    assert moved["migration"]["ready"], moved
    assert moved["migration"]["mode"] in ("live", None), moved  # Cold: it ended before it moved.
    assert states(site, other_site, guest) == ("", "running")
    assert traces(site, guest) == ""
