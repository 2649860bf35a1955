# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests, power, images and pools on a real cell: real libvirt, real QEMU, a guest that boots."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
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


def test_cell_info(site: Site) -> None:
    cell = site.run("cell_info")["cell"]
    assert cell["hostname"] == site.cell.name
    assert "qemu" in cell["domain_types"]
    assert {"default", "nano-images"} <= {pool["name"] for pool in cell["pools"]}
    assert "br0" in cell["bridges"]
    assert 0 < cell["memory_available_bytes"] <= cell["memory_bytes"]
    assert 0 <= cell["cpu_usage_percent"] <= 100
    assert 0 < cell["disk_available_bytes"] <= cell["disk_bytes"]


def test_storage_pool(site: Site) -> None:
    path = "/srv/another-pool"
    made = site.check_then_real_then_again("storage_pool", name="another", path=path)
    assert made["pool"]["state"] == "active"
    assert site.shell(f"stat -c %F {path}") == "directory"
    site.shell("virsh vol-create-as another v 1M")
    refused = site.run("storage_pool", name="another", state="absent")
    assert refused["error"]["code"] == "conflict"
    site.shell("virsh vol-delete v another")
    site.check_then_real_then_again("storage_pool", name="another", active=False)
    site.check_then_real_then_again("storage_pool", name="another", state="absent")


def test_a_guest_boots_from_an_overlay_and_changes_while_it_runs(
    site: Site, image: dict[str, Any], guest_id: str
) -> None:
    made = site.check_then_real_then_again("guest", **basis(guest_id))
    assert made["created"]
    disk = made["guest"]["disks"][0]
    info = json.loads(site.shell(f"qemu-img info -U --output=json {disk['path']}"))
    assert info["backing-filename"] == image["path"]
    assert info["backing-filename-format"] == "qcow2"
    assert disk["allocated_bytes"] < 10 * MIB

    site.check_then_real_then_again("guest_power", id=guest_id, state="running")
    wait_for("guest-ready on the console", lambda: "guest-ready" in console(site, guest_id))

    disks = [{"size_bytes": 3 * GIB}, {"size_bytes": 100 * MIB}]
    changed = site.check_then_real_then_again(
        "guest", id=guest_id, cores=4, owner="somebody", disks=disks, display={"password": "pw"}
    )
    assert changed["restart_required"] == ["cores"]
    assert changed.get("warnings", []) == []
    live = site.shell(f"virsh domblkinfo {guest_id} sda --human; virsh domblklist {guest_id}")
    assert "3.000 GiB" in live
    assert f"{guest_id}_0.qcow2" in live
    assert "somebody" in site.shell(f"virsh dumpxml {guest_id}")
    refused = site.run("guest", id=guest_id, disks=[{"size_bytes": 2 * GIB}, disks[1]])
    assert refused["error"]["code"] == "conflict"
    assert site.run("guest", id=guest_id, state="absent")["error"]["code"] == "conflict"
    assert site.run("image", id="tiny", state="absent")["error"]["code"] == "conflict"

    rebooted = site.run("guest_power", id=guest_id, state="rebooted")
    assert rebooted["guest"]["state"] == "running"
    assert rebooted["guest"]["restart_required"] == []
    wait_for("second boot", lambda: console(site, guest_id).count("guest-ready") == 2)
    site.check_then_real_then_again("guest_power", id=guest_id, state="stopped")
    site.check_then_real_then_again("guest", id=guest_id, name=f"renamed.{guest_id[:8]}")
    site.check_then_real_then_again("guest", id=guest_id, state="absent")


def test_a_volume_that_went_behind_libvirts_back_disturbs_no_image(
    site: Site, web: tuple[str, Path]
) -> None:
    url, folder = web
    (folder / "other.qcow2").write_bytes(site.lab.image_qcow2.read_bytes())
    site.shell("virsh vol-create-as default gone.qcow2 1M --format qcow2")
    site.shell("rm /var/lib/libvirt/images/gone.qcow2")
    try:
        site.check_then_real_then_again("image", id="other", url=f"{url}/other.qcow2")
        site.check_then_real_then_again("image", id="other", state="absent")
    finally:
        site.shell("virsh pool-refresh default")


def test_a_full_copy_stands_alone(site: Site, web: tuple[str, Path], guest_id: str) -> None:
    url, folder = web
    (folder / "copied.qcow2").write_bytes(site.lab.image_qcow2.read_bytes())
    site.run("image", id="copied", url=f"{url}/copied.qcow2")
    disks = [{"size_bytes": 2 * GIB, "image": "copied", "full_copy": True}]
    made = site.check_then_real_then_again("guest", **basis(guest_id, disks=disks))
    path = made["guest"]["disks"][0]["path"]
    info = json.loads(site.shell(f"qemu-img info --output=json {path}"))
    assert "backing-filename" not in info
    assert info["virtual-size"] == 2 * GIB
    site.check_then_real_then_again("image", id="copied", state="absent")
    site.run("guest_power", id=guest_id, state="running")
    wait_for("guest-ready on the console", lambda: "guest-ready" in console(site, guest_id))
    site.check_then_real_then_again("guest_power", id=guest_id, state="stopped", force=True)
    disks = [{"size_bytes": 4 * GIB}]
    site.check_then_real_then_again("guest", id=guest_id, disks=disks)  # grown while stopped


def test_every_device_choice_is_accepted_by_the_real_hypervisor(site: Site, guest_id: str) -> None:
    options = basis(guest_id, disks=[{"size_bytes": 100 * MIB}])
    site.run("guest", **options)
    choices: list[dict[str, Any]] = [
        {"disk_bus": "sata"}, {"disk_bus": "ide"}, {"disk_bus": "virtio"}, {"disk_bus": "scsi"},
        {"network": {"model": "e1000"}}, {"network": {"model": "rtl8139"}},
        {"video": "cirrus"}, {"video": "qxl"}, {"video": "virtio"}, {"video": "none"},
        {"usb": ""}, {"usb": "nec-xhci"}, {"tablet": ""}, {"tablet": "virtio"},
        {"agent": False}, {"serial_log": False}, {"display": {"port": 5950}},
        {"display": {"protocol": "spice", "password": "a longer password"}},
        {"auto_start": True}, {"memory_bytes": 256 * MIB}, {"cores": 1},
    ]  # fmt: skip
    calls = [("guest", {"id": guest_id, **choice}) for choice in choices for _twice in (1, 2)]
    results = iter(site.run_all(*calls))
    for choice in choices:
        first, second = next(results), next(results)
        assert first.get("changed"), (choice, first)
        assert second.get("changed") is False, (choice, second)


@pytest.mark.parametrize("delay_seconds", [0.02, 0.05, 0.1, 0.2])
def test_a_killed_creation_is_completed_by_the_next_run(
    site: Site, image: dict[str, Any], guest_id: str, delay_seconds: float
) -> None:
    assert image["ready"]
    disks = [{"size_bytes": 2 * GIB, "image": "tiny", "full_copy": True}, {"size_bytes": GIB}]
    options = basis(guest_id, disks=disks)
    process = subprocess.Popen(
        site.command("guest", **options), cwd=REPOSITORY, stdout=subprocess.DEVNULL
    )
    # Kill it some moments after it has taken its lock, which is before it makes anything.
    site.shell(
        f"for i in $(seq 600); do f=/run/lock/nano-cloud/guest-{guest_id}.lock; "
        "p=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p' $f 2>/dev/null); "
        f'if [ -n "$p" ]; then sleep {delay_seconds}; kill -9 $p; break; fi; sleep 0.02; done'
    )
    process.wait(timeout=60)
    site.forget()
    done = site.run("guest", **options)
    assert "error" not in done, done
    guest = site.guest(guest_id)
    assert not guest["incomplete"]
    assert [disk["size_bytes"] for disk in guest["disks"]] == [2 * GIB, GIB]
    assert site.run("guest", **options).get("changed") is False


def test_refusals_leave_nothing(site: Site, image: dict[str, Any], guest_id: str) -> None:
    assert image["ready"]
    refused = (
        (basis(guest_id, pool="nowhere"), "not_found"),
        (basis(guest_id, disks=[{"size_bytes": GIB, "image": "nothing"}]), "not_found"),
        (basis(guest_id, disks=[{"size_bytes": MIB, "image": "tiny"}]), "invalid_input"),
        (basis(guest_id, disks=[{"size_bytes": 60 * 2**40}]), "no_space"),
        (basis(guest_id, cores=3), "invalid_input"),
        (basis(guest_id, name="{{ lookup('pipe', 'touch /tmp/x') }}"), "invalid_input"),
    )
    results = site.run_all(*(("guest", options) for options, _code in refused))
    assert [each["error"]["code"] for each in results] == [code for _options, code in refused]
    assert site.shell(f"find /var/lib/libvirt -name '*{guest_id}*'") == ""


def test_dangerous_images_are_refused(site: Site, web: tuple[str, Path]) -> None:
    url, folder = web
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/shadow", "-F", "raw", "-u"]
    subprocess.run([*command, str(folder / "evil.qcow2"), "1G"], check=True)
    refused = site.run("image", id="evil", url=f"{url}/evil.qcow2")
    assert refused["error"]["code"] == "unsafe_image"
    assert "backing file" in refused["msg"]
    refused = site.run("image", id="evil", url=f"{url}/evil.qcow2", format="raw")
    assert refused["error"]["code"] == "unsafe_image"
    missing = site.run("image", id="evil", url=f"{url}/nothing")
    assert missing["error"]["code"] == "not_found"
    assert site.shell("find /var/lib/libvirt/nano-images -name '*evil*'") == ""


def test_an_iso(site: Site, web: tuple[str, Path]) -> None:
    url, folder = web
    (folder / "tiny.iso").write_bytes(site.lab.image_iso.read_bytes())
    options = {"id": "tiny-iso", "format": "iso"}
    made = site.check_then_real_then_again("image", url=f"{url}/tiny.iso", **options)
    assert made["image"]["path"].endswith("/tiny-iso.iso")
    site.check_then_real_then_again("image", state="absent", **options)


def test_a_second_run_waits_for_a_first_one_that_lives(site: Site, guest_id: str) -> None:
    directory = "/run/lock/nano-cloud"
    site.shell(
        f"mkdir -p -m 700 {directory}; setsid flock {directory}/guest-{guest_id}.lock sleep 30 "
        ">/dev/null 2>&1 &"
    )
    options = basis(guest_id, disks=[{"size_bytes": 100 * MIB}])
    busy = site.run("guest", lock_timeout_seconds=1, **options)
    assert busy["error"]["code"] == "busy"
    site.shell(f"fuser -k {directory}/guest-{guest_id}.lock >/dev/null 2>&1 || true")
    wait_for(
        "the lock to be free",
        lambda: "error" not in site.run("guest", lock_timeout_seconds=40, **options),
    )
