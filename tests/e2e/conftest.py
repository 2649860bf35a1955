# SPDX-License-Identifier: Apache-2.0
"""Two onboarded cells and the API as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.api_process import ApiProcess
from tests.lab.cell import Cell
from tests.lab.identity import CHECKOUT
from tests.lab.lab import Lab
from tests.lab.shared_storage import VOLUME, SharedStorage, provide_shared_storage
from tests.nano_client import MENUS, ApiError, NanoClient

POOL = "lab"
USER = "admin"
PASSWORD = "Correct-horse-7"
MIB = 1 << 20

#: What a cell has for guests; an empty cell has two pools and nothing else.
_TRACES = """
virsh list --all --uuid
for pool in $(virsh pool-list --all --name); do virsh pool-refresh "$pool" > /dev/null
  virsh vol-list "$pool" | tail -n +3 | sed -n "s|^ *\\([^ ]\\+\\).*|$pool \\1|p"; done
ls -A /var/lib/libvirt/qemu/nvram /var/lib/libvirt/qemu/save 2> /dev/null | grep -v :
pgrep -a qemu-system
virsh nwfilter-list | grep nano
ls -A /var/lib/libvirt/nano-images | grep partial
true
"""


def ansible(
    playbook: Path | str, inventory: Path, *options: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a playbook as a user does, from a shell."""
    done = subprocess.run(
        [
            str(CHECKOUT / ".venv/bin/ansible-playbook"),
            "-i",
            str(inventory),
            str(playbook),
            *options,
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{playbook} failed:\n{done.stdout}\n{done.stderr}")
    return done


def changes(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Host → number of changed tasks, from the recap."""
    recap = done.stdout.split("PLAY RECAP")[1]
    found = {}
    for line in recap.splitlines()[1:]:
        if ":" in line:
            host, figures = line.split(":", 1)
            values = dict(pair.split("=") for pair in figures.split())
            assert values["failed"] == values["unreachable"] == "0", done.stdout
            found[host.strip()] = int(values["changed"])
    return found


def traces(cell: Cell) -> list[str]:
    """Everything on a cell that guests could leave behind, cached images apart."""
    lines = cell.run(["sh", "-c", _TRACES]).stdout.splitlines()
    return sorted(line for line in lines if line.strip() and not line.startswith("nano-images "))


def domain_xml(cell: Cell, name: str) -> str:
    """The definition of a guest as libvirt has it."""
    return cell.run(["virsh", "dumpxml", "--inactive", name]).stdout


def leases(lab: Lab) -> dict[str, dict[str, Any]]:
    """MAC → lease with the cell that has it, from the files that the cells' servers read."""
    found = {}
    for cell in lab.cells:
        path = "/etc/nano-cloud/dhcp/br0"
        text = cell.run(["sh", "-c", f"cat {path}/leases.json 2> /dev/null || true"]).stdout
        for lease in json.loads(text or "[]"):
            hosts = cell.run(["cat", f"{path}/hosts"]).stdout
            assert f"{lease['mac']},set:" in hosts
            cell.run(["systemctl", "is-active", "--quiet", "nano-dhcp@br0"])
            assert lease["mac"] not in found, "two cells would answer"
            found[lease["mac"]] = {**lease, "cell": cell.name}
    return found


def media_of(lab: Lab, guest_id: str) -> list[str]:
    """The cells that have the guest's medium of cloud-init."""
    look = f"ls /var/lib/libvirt/images/{guest_id}_ci.iso 2> /dev/null || true"
    return [cell.name for cell in lab.cells if cell.run(["sh", "-c", look]).stdout.strip()]


def filters(cell: Cell) -> str:
    """The filters of guests on a cell."""
    return cell.run(["sh", "-c", "virsh nwfilter-list | grep nano || true"]).stdout


def free_port(address: str) -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def onboarded(lab: Lab) -> Lab:
    """The lab, its cells onboarded by the real playbook."""
    ansible(CHECKOUT / "playbooks/cell_onboard.yml", lab.inventory_path)
    return lab


@pytest.fixture(scope="session")
def shared_storage(onboarded: Lab) -> SharedStorage:
    """A GlusterFS volume that both cells can mount."""
    return provide_shared_storage(onboarded, VOLUME)


class Service:
    """An API with its lab: what the tests restart, kill and ask."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.api = ApiProcess(folder)
        self.port = free_port(lab.host_address)
        self.client = NanoClient(f"http://{lab.host_address}:{self.port}")

    def start(self) -> None:
        """Start the API, log in."""
        self.api.start(self.lab.inventory_path, self.port, [self.lab.host_address])
        self.client.wait_until_it_serves()
        self.client.initialise(USER, PASSWORD)
        self.client.login(USER, PASSWORD)

    def with_token(self, name: str) -> NanoClient:
        """One more client, whose credential lives longer than a session."""
        order = {"name": name, "menu": MENUS, "days": 2}
        token = self.client.call("POST", "/tokens/", order).data["token"]
        return NanoClient(f"http://{self.lab.host_address}:{self.port}", credential=token)

    def log(self) -> str:
        """What the API printed."""
        return (self.api.folder / "api.out").read_text()

    def cell(self, name: str) -> Cell:
        """A cell of the lab."""
        return self.lab.cell(name)

    def order(self, name: str, **changes: object) -> dict[str, object]:
        """A small guest."""
        return {
            "name": name,
            "owner": USER,
            "group": USER,
            "pool": POOL,
            "cores": 1,
            "memory": 128 * MIB,
            "disks": [256 * MIB],
            "template": "centos-7",
            **changes,
        }


@pytest.fixture(scope="session")
def service(onboarded: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running API whose pool has both cells."""
    service = Service(onboarded, tmp_path_factory.mktemp("api"))
    service.start()
    try:
        service.client.call("POST", f"/compute_pools/{POOL}")
        for cell in onboarded.cells:
            service.client.call("POST", f"/compute_pool_cells/{POOL}/{cell.name}")
        service.client.wait_for_live_cells({cell.name for cell in onboarded.cells})
        yield service
    finally:
        service.client.close()
        service.api.stop()


@pytest.fixture(scope="session")
def image(service: Service) -> str:
    """The tiny guest's image, uploaded."""
    return service.client.upload_image("tiny", service.lab.image_qcow2, owner=USER, group=USER)


@pytest.fixture(autouse=True)
def each_for_itself(request: pytest.FixtureRequest) -> Iterator[None]:
    """A session that lives, and nothing of what a test that failed has left."""
    if "service" not in request.fixturenames:
        yield
        return
    client = request.getfixturevalue("service").client
    client.login(USER, PASSWORD)  # Sessions live 180 s, and some tests take longer.
    yield
    client.login(USER, PASSWORD)
    for guest in client.get(f"/guest_search/?pool={POOL}"):
        with contextlib.suppress(ApiError):
            client.call("DELETE", f"/guests/{guest['id']}", {"force": True})


@pytest.fixture
def clean_cells(onboarded: Lab) -> Iterator[None]:
    """The test leaves the cells as it found them."""
    before = {cell.name: traces(cell) for cell in onboarded.cells}
    yield
    after = {cell.name: traces(cell) for cell in onboarded.cells}
    assert after == before
