# SPDX-License-Identifier: GPL-3.0-or-later
"""Two real cells with a storage pool on the same server: pools, images, guests that move."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import (
    MIB,
    REPOSITORY,
    Site,
    basis,
    console,
    wait_for,
)
from tests.lab.shared_storage import SharedStorage, stand_in_for_nfs

pytestmark = [pytest.mark.lab, pytest.mark.heavy]

POOL = "shared"
DIRECTORY = f"/var/lib/libvirt/storage/{POOL}"


def pool(storage: SharedStorage, **more: Any) -> dict[str, Any]:
    return {
        "name": POOL,
        "type": "glusterfs",
        "host": storage.host,
        "source": storage.source,
        **more,
    }


@pytest.fixture(scope="module")
def shared_pool(site: Site, other_site: Site, shared_storage: SharedStorage) -> Iterator[str]:
    """The pool, attached to both cells."""
    for each in (site, other_site):
        each.run("storage_pool", name=POOL, state="absent")
    made = site.check_then_real_then_again("storage_pool", **pool(shared_storage))
    assert (made["pool"]["state"], made["pool"]["shared"]) == ("active", True)
    assert made["pool"]["capacity_bytes"] > made["pool"]["available_bytes"] > 0
    other_site.run("storage_pool", **pool(shared_storage))
    yield POOL
    for each in (site, other_site):
        assert each.run("storage_pool", name=POOL, state="absent").get("changed")
        left = f"grep {DIRECTORY} /proc/mounts; ls -alR {DIRECTORY} 2> /dev/null"
        assert each.shell(f"{left} || true") == ""


def test_pools_of_servers(site: Site, shared_pool: str, shared_storage: SharedStorage) -> None:
    mounted = site.shell(f"grep {DIRECTORY} /proc/mounts")
    assert mounted.startswith(f"{shared_storage.host}:{shared_storage.source} ")
    # After libvirt was restarted the pool is what it was.
    site.shell("systemctl restart libvirtd")
    found = site.run("storage_pool_info", name=shared_pool, refresh=True, volumes=True)["pools"][0]
    assert (found["state"], found["autostart"], found["volumes"]) == ("active", True, [])
    other = site.run("storage_pool", **pool(shared_storage, source="elsewhere"))
    assert f"has source {shared_storage.source}, not elsewhere" in other["msg"]
    options = site.run("storage_pool", **pool(shared_storage, mount_options=["log-level=WARNING"]))
    assert options["changed"], options
    assert options["pool"]["mount_options"] == []  # From its next start on.
    owned = site.check_then_real_then_again(
        "storage_pool", **pool(shared_storage, mode="0711", owner="root", group="libvirt")
    )
    assert owned["diff"]["after"]["mode"] == "0711"
    assert site.shell(f"stat -c '%a %U %G' {DIRECTORY}") == "711 root libvirt"


def test_a_mount_that_somebody_took_away_comes_back(
    site: Site, shared_pool: str, shared_storage: SharedStorage, guest_id: str
) -> None:
    options = basis(guest_id, disks=[{"size_bytes": 64 * MIB}], pool=shared_pool)
    made = site.run("guest", **options)
    assert "error" not in made, made
    site.shell(f"umount {DIRECTORY}")
    found = site.run("storage_pool_info", name=shared_pool)["pools"][0]
    assert (found["state"], found["capacity_bytes"]) == ("inaccessible", 0)
    # Nothing is made in the directory beneath, and no guest is forgotten while its disks stay.
    other = {**options, "id": str(uuid.uuid4()), "name": "test.other"}
    for refused in (
        site.run("guest", **other),
        site.run("guest", id=guest_id, state="absent"),
        site.run("image", id="tiny", url="http://192.0.2.9/tiny.qcow2", pool=shared_pool),
    ):
        assert refused["error"]["code"] == "conflict", refused
        assert f"is not mounted at {DIRECTORY}: storage_pool with" in refused["msg"]
    assert site.shell(f"ls -A {DIRECTORY}") == ""
    again = site.check_then_real_then_again("storage_pool", **pool(shared_storage))
    assert again["pool"]["state"] == "active"
    mounted = site.shell(f"grep {DIRECTORY} /proc/mounts")
    assert mounted.startswith(f"{shared_storage.host}:{shared_storage.source} ")
    assert site.run("guest", id=guest_id, state="absent").get("changed")
    assert site.shell(f"ls -A {DIRECTORY} | grep {guest_id} || true") == ""


def test_servers_that_do_not_answer_are_named(site: Site, shared_storage: SharedStorage) -> None:
    nowhere = {"name": "p2", "type": "glusterfs", "host": "192.0.2.9", "source": "guests"}
    silent = site.run("storage_pool", **nowhere)
    assert silent["error"]["code"] == "unreachable"
    assert "GlusterFS server 192.0.2.9 does not answer" in silent["msg"]
    assert "guests cannot be mounted for pool p2" in silent["msg"]
    address = shared_storage.host
    lacking = site.run("storage_pool", name="p2", type="nfs", host=address, source="/x")
    assert lacking["error"]["code"] in (
        "unsupported",
        "hypervisor",
    )  # Or NFS that the kernel lacks.
    assert f"{address}:/x" in lacking["msg"]
    refused = site.run("storage_pool", **{**nowhere, "host": site.cell.address})
    assert "does not answer (port 24007: Connection refused)" in refused["msg"]
    missing = site.run(
        "storage_pool", name="p2", type="glusterfs", host=shared_storage.host, source="nothing"
    )
    assert f"{shared_storage.host}:nothing (GlusterFS) cannot be mounted" in missing["msg"]
    assert site.run("storage_pool_info", name="p2")["pools"] == []
    assert site.shell("ls /var/lib/libvirt/storage | grep p2 || true") == ""


def test_type_nfs_with_a_stand_in_for_its_mount(site: Site, shared_storage: SharedStorage) -> None:
    stand_in_for_nfs(site.cell)
    options = {"name": "nfs1", "type": "nfs", "host": shared_storage.host}
    options["source"] = f"/{shared_storage.source}"
    made = site.check_then_real_then_again("storage_pool", **options)
    assert (made["pool"]["type"], made["pool"]["state"]) == ("nfs", "active")
    assert "type='nfs'" in site.shell("virsh pool-dumpxml nfs1")
    assert site.run("storage_pool", name="nfs1", state="absent").get("changed")


def test_two_cells_fetch_one_image_once(
    site: Site, other_site: Site, shared_pool: str, web: tuple[str, Path]
) -> None:
    url, folder = web
    (folder / "tiny.qcow2").write_bytes(site.lab.image_qcow2.read_bytes())
    options = {"id": "tiny", "url": f"{url}/tiny.qcow2", "pool": shared_pool}
    runs = [
        subprocess.Popen(each.command("image", **options), cwd=REPOSITORY, stdout=subprocess.PIPE)
        for each in (site, other_site)
    ]
    for run in runs:
        output = run.communicate(timeout=300)[0].decode()
        assert run.returncode == 0, output
    results = [each.result() for each in (site, other_site)]
    assert sorted(each["changed"] for each in results) == [False, True], results
    assert results[0]["image"]["checksum"] == results[1]["image"]["checksum"]
    assert site.shell(f"ls -A {DIRECTORY}").split() == [".nano-cloud", "tiny.qcow2"]


@pytest.fixture
def guest(site: Site, other_site: Site, shared_pool: str, guest_id: str) -> Iterator[str]:
    """A guest on shared storage, on an image that is there too."""
    disks = [{"size_bytes": 2**31, "image": "tiny"}, {"size_bytes": 64 * MIB}]
    options = basis(guest_id, disks=disks, pool=shared_pool, image_pool=shared_pool)
    made = site.run("guest", **options)
    assert "error" not in made, made
    yield guest_id
    other_site.run("guest", id=guest_id, state="absent", force=True)
    site.run("guest", id=guest_id, state="absent", force=True)
    assert site.shell(f"ls -A {DIRECTORY} | grep {guest_id} || true") == ""


def test_a_guest_moves_and_its_disks_stay(site: Site, other_site: Site, guest: str) -> None:
    site.run("guest_power", id=guest, state="running")
    wait_for("boot", lambda: "guest-ready" in console(site, guest))
    definition = site.shell(f"virsh dumpxml {guest}")
    inode = site.shell(f"stat -c %i {DIRECTORY}/{guest}_sys.qcow2")
    moved = site.check_then_real_then_again(
        "guest_migrate", id=guest, target=other_site.cell.address
    )
    assert (moved["migration"]["mode"], moved["migration"]["storage"]) == ("live", "shared")
    there = other_site.guest(guest)
    assert there["state"] == "running"
    assert [disk["path"] for disk in there["disks"]] == [
        f"{DIRECTORY}/{guest}_sys.qcow2",
        f"{DIRECTORY}/{guest}_0.qcow2",
    ]
    assert other_site.shell(f"stat -c %i {DIRECTORY}/{guest}_sys.qcow2") == inode
    # The cell that it left neither starts it nor takes its disks away.
    site.cell.run(["sh", "-c", "cat > /tmp/left.xml"], input_text=definition)
    twice = site.shell("virsh create /tmp/left.xml 2>&1 || true")
    assert 'Failed to get "write" lock' in twice
    gone = site.run("guest", id=guest, state="absent", force=True)
    assert gone.get("changed") is False, gone
    assert other_site.run("guest_power", id=guest, state="rebooted").get("changed")
    wait_for("boot", lambda: "guest-ready" in console(other_site, guest))
    # And back, cold.
    other_site.run("guest_power", id=guest, state="stopped", force=True)
    back = other_site.check_then_real_then_again(
        "guest_migrate", id=guest, target=site.cell.address
    )
    assert (back["migration"]["mode"], back["migration"]["storage"]) == ("cold", "shared")
    used = site.run("storage_pool", name=POOL, state="absent")
    assert "is used by 1 guests" in used["msg"]
    started = site.run("guest_power", id=guest, state="running")
    assert started["guest"]["state"] == "running"


def test_an_image_beneath_guests_of_any_cell_stays(
    site: Site, other_site: Site, guest: str, shared_pool: str
) -> None:
    assert guest
    refused = other_site.run("image", id="tiny", state="absent", pool=shared_pool)
    assert f"{guest}_sys.qcow2" in refused["msg"]
    assert site.run("guest", id=guest, state="absent").get("changed")
    assert other_site.run("image", id="tiny", state="absent", pool=shared_pool).get("changed")
