# SPDX-License-Identifier: Apache-2.0
"""An inventory becomes a cloud with ansible-playbook only, and the same again changes nothing."""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MIB, ansible, changes
from tests.lab.identity import CHECKOUT
from tests.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.heavy]

PLAYBOOKS = CHECKOUT / "playbooks"
TINY = {"cores": 1, "memory_bytes": 64 * MIB, "serial_log": True}
DISK = {"size_bytes": 256 * MIB, "image": "site-tiny"}
GUESTS: list[dict[str, Any]] = [
    {
        **TINY,
        "name": "site.mover",
        "cell": "cell1",
        "disks": [DISK],
        "network": {"mac": "00:16:3e:00:51:01"},
        "security_policy": "site-web",
        "power": "running",
    },
    {
        **TINY,
        "name": "site.keeper",
        "disks": [{"size_bytes": 32 * MIB}],
        "network": {"mac": "00:16:3e:00:51:02"},
        "snapshots": [{"name": "fresh", "description": "as it was made"}],
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
    folder = tmp_path / "inventory"
    (folder / "group_vars").mkdir(parents=True)
    (folder / "hosts.yml").write_text(onboarded.inventory_path.read_text())
    wanted = {
        "nano_images": [{"id": "site-tiny", "url": image_url}],
        "nano_policies": [{"name": "site-web", "default_action": "accept", "rules": []}],
        "nano_guests": GUESTS,
    }
    (folder / "group_vars/cells.yml").write_text(json.dumps(wanted))
    yield folder
    remove = tmp_path / "remove.yml"
    remove.write_text(
        "- hosts: cells\n  gather_facts: false\n  tasks:\n"
        + "".join(
            f"    - nano.cloud.guest: {{name: {guest['name']}, state: absent, force: true}}\n"
            for guest in GUESTS
        )
        + "    - nano.cloud.security_policy: {name: site-web, state: absent}\n"
        + "    - nano.cloud.image: {id: site-tiny, state: absent}\n"
    )
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


@pytest.mark.usefixtures("clean_cells")
def test_inventory_in_cloud_out(onboarded: Lab, described: Path) -> None:
    site = PLAYBOOKS / "site.yml"
    ansible(site, described)
    assert homes(onboarded, "site.mover") == {"cell1": "running"}
    assert set(homes(onboarded, "site.keeper").values()) == {"shut off"}
    again = ansible(site, described, "-e", "nano_onboard=false")
    assert_unchanged(again)

    empty = PLAYBOOKS / "cell_maintenance.yml"
    begun = changes(ansible(empty, described, "-e", "nano_cell=cell1"))
    assert begun["cell1"] >= 1
    assert homes(onboarded, "site.mover") == {"cell2": "running"}
    assert list(homes(onboarded, "site.keeper")) == ["cell2"]
    assert changes(ansible(empty, described, "-e", "nano_cell=cell1"))["cell1"] == 0
    nowhere = ansible(empty, described, "-e", "nano_cell=cell2", check=False)
    assert nowhere.returncode != 0
    assert "no other cell answers and may have guests" in " ".join(nowhere.stdout.split())
    for cell in ("cell1", "cell2"):
        back = ("-e", f"nano_cell={cell}", "-e", "nano_maintenance=false")
        assert changes(ansible(empty, described, *back))[cell] == 1
    # Where a guest is now is not for the inventory to say.
    assert_unchanged(ansible(site, described))

    refused = ansible(
        PLAYBOOKS / "cell_remove.yml", described, "-e", "nano_cell=cell2", check=False
    )
    assert refused.returncode != 0
    assert "still has 2 guests (site.keeper, site.mover)" in " ".join(refused.stdout.split())
