# SPDX-License-Identifier: Apache-2.0
"""An inventory becomes a cloud with ansible-playbook only, and the same again changes nothing."""

from __future__ import annotations

import functools
import http.server
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MIB, ansible, changes, domain_xml
from tests.lab.commands import wait_until
from tests.lab.identity import CHECKOUT
from tests.lab.lab import Lab
from tests.lab.shared_storage import storage_variables

pytestmark = [pytest.mark.lab, pytest.mark.heavy]

PLAYBOOKS = CHECKOUT / "playbooks"
SHARED = "site-shared"
TINY = {"cores": 1, "memory_bytes": 128 * MIB, "serial_log": True, "cell": "cell1"}
SNAPSHOTS = [{"name": "fresh", "description": "as it was made"}]
GUESTS: list[dict[str, Any]] = [
    {
        **TINY,
        "name": "site.mover",
        "pool": SHARED,
        "image_pool": SHARED,
        "disks": [{"size_bytes": 256 * MIB, "image": "site-tiny"}],
        "network": {"mac": "00:16:3e:00:51:01"},
        "security_policy": "site-web",
        "cloud_init": {"hostname": "mover", "users": [{"name": "admin", "password": "Secret-7"}]},
        "snapshots": SNAPSHOTS,
        "power": "running",
    },
    {
        **TINY,
        "name": "site.keeper",
        "disks": [{"size_bytes": 32 * MIB}],
        "network": {"mac": "00:16:3e:00:51:02"},
        "snapshots": SNAPSHOTS,
    },
]


@pytest.fixture
def image_url(onboarded: Lab) -> Iterator[str]:
    """The tiny image on a web server that the cells reach."""
    image = onboarded.image_qcow2
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(image.parent))
    with http.server.ThreadingHTTPServer((onboarded.host_address, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{onboarded.host_address}:{server.server_port}/{image.name}"
        server.shutdown()


@pytest.fixture
def described(onboarded: Lab, image_url: str, tmp_path: Path) -> Iterator[Path]:
    """The lab's inventory and what shall be there; afterwards nothing of it is."""
    onboarded.storage()  # From now on it is in the inventory, a bare machine.
    folder = tmp_path / "inventory"
    (folder / "group_vars").mkdir(parents=True)
    (folder / "hosts.yml").write_text(onboarded.inventory_path.read_text())
    wanted = {
        "nano_images": [{"id": "site-tiny", "url": image_url, "pool": SHARED}],
        "nano_policies": [{"name": "site-web", "default_action": "accept", "rules": []}],
        "nano_guests": GUESTS,
    }
    (folder / "group_vars/cells.yml").write_text(json.dumps(wanted))
    (folder / "group_vars/storage.yml").write_text(
        json.dumps(storage_variables("site", pool=SHARED))
    )
    yield folder
    remove = tmp_path / "remove.yml"
    names = [{"name": guest["name"]} for guest in GUESTS]
    tasks = [
        {"nano.cloud.guest": {"guests": names, "state": "absent", "force": True}},
        {"nano.cloud.security_policy": {"name": "site-web", "state": "absent"}},
        {"nano.cloud.image": {"id": "site-tiny", "pool": SHARED, "state": "absent"}},
        {"nano.cloud.storage_pool": {"name": SHARED, "state": "absent"}},
    ]
    remove.write_text(json.dumps([{"hosts": "cells", "gather_facts": False, "tasks": tasks}]))
    ansible(remove, folder)


def homes(lab: Lab, name: str) -> dict[str, str]:
    look = f"virsh domstate {name} 2> /dev/null || true"
    found = {cell.name: cell.run(["sh", "-c", look]).stdout.strip() for cell in lab.cells}
    return {cell: state for cell, state in found.items() if state}


def assert_unchanged(done: subprocess.CompletedProcess[str]) -> None:
    """Neither a cell nor, if the lab has one, the storage server was changed."""
    found = changes(done)
    assert {"cell1", "cell2"} <= found.keys()
    assert set(found.values()) == {0}, found


def serial_log(lab: Lab, cell: str, name: str) -> str:
    """What the guest has said on its serial port on that cell."""
    look = f"cat /var/log/libvirt/qemu/$(virsh domuuid {name}).serial.log"
    return lab.cell(cell).run(["sh", "-c", look]).stdout


def addresses(lab: Lab, guest: dict[str, Any]) -> list[str]:
    """Which cells give a guest its address."""
    look = f"grep -rl {guest['network']['mac']} /etc/nano-cloud/dhcp 2> /dev/null || true"
    return [cell.name for cell in lab.cells if cell.run(["sh", "-c", look]).stdout.strip()]


@pytest.fixture
def leased(described: Path, tmp_path: Path) -> Iterator[Path]:
    """The inventory; the first cell gives both guests their addresses."""
    playbook = tmp_path / "lease.yml"
    cards = [{"mac": guest["network"]["mac"]} for guest in GUESTS]

    def lease(hosts: str, **options: Any) -> None:
        tasks = [{"nano.cloud.address_lease": options}]
        playbook.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": tasks}]))
        ansible(playbook, described)

    more = {"gateway": "192.0.2.1", "dns": ["192.0.2.53"]}
    found = [{**card, "address": f"192.0.2.{7 + at}/24", **more} for at, card in enumerate(cards)]
    lease("cell1", leases=found)
    yield described
    lease("cells", leases=cards, state="absent")


@pytest.mark.usefixtures("clean_cells")
def test_inventory_in_cloud_out(onboarded: Lab, leased: Path) -> None:
    """Shared storage, a guest with a snapshot, a policy and cloud-init, moved while it runs."""
    described = leased
    site, empty = PLAYBOOKS / "site.yml", PLAYBOOKS / "cell_maintenance.yml"
    ansible(site, described)
    assert homes(onboarded, "site.mover") == {"cell1": "running"}
    assert homes(onboarded, "site.keeper") == {"cell1": "shut off"}
    assert_unchanged(ansible(site, described))
    assert wait_until(lambda: "guest-ready" in serial_log(onboarded, "cell1", "site.mover"), 180, 1)

    # What cannot go is named, and the others go.
    begun = ansible(empty, described, "-e", "nano_cell=cell1", check=False)
    assert begun.returncode != 0
    told = " ".join(begun.stdout.split())
    assert "1 of 2 guests stay on cell1: guest site.keeper has snapshots" in told
    assert homes(onboarded, "site.mover") == {"cell2": "running"}
    assert homes(onboarded, "site.keeper") == {"cell1": "shut off"}
    assert addresses(onboarded, GUESTS[0]) == ["cell2"]
    assert addresses(onboarded, GUESTS[1]) == ["cell1"]
    assert "guest-ready" not in serial_log(onboarded, "cell2", "site.mover"), "it ran on"
    disks = onboarded.cell("cell2").run(["virsh", "domblklist", "--details", "site.mover"]).stdout
    assert re.search(r"cdrom .*_ci\.iso", disks), disks
    assert "nano-site-web" in domain_xml(onboarded.cell("cell2"), "site.mover")
    nowhere = ansible(empty, described, "-e", "nano_cell=cell2", check=False)
    assert nowhere.returncode != 0
    assert "no other cell answers and may have guests" in " ".join(nowhere.stdout.split())
    assert addresses(onboarded, GUESTS[0]) == ["cell2"]
    back = ("-e", "nano_maintenance=false", "-e")
    assert changes(ansible(empty, described, *back, "nano_cell=cell1"))["cell1"] == 1

    begun = ansible(empty, described, "-e", "nano_cell=cell2")
    assert homes(onboarded, "site.mover") == {"cell1": "running"}
    assert addresses(onboarded, GUESTS[0]) == ["cell1"]
    assert changes(begun)["cell2"] >= 1
    assert changes(ansible(empty, described, "-e", "nano_cell=cell2"))["cell2"] == 0
    assert changes(ansible(empty, described, *back, "nano_cell=cell2"))["cell2"] == 1
    # Where a guest is now is not for the inventory to say.
    assert_unchanged(ansible(site, described))

    refused = ansible(
        PLAYBOOKS / "cell_remove.yml", described, "-e", "nano_cell=cell1", check=False
    )
    assert refused.returncode != 0
    assert "still has 2 guests (site.keeper, site.mover)" in " ".join(refused.stdout.split())
