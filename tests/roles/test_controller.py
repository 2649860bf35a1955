# SPDX-License-Identifier: Apache-2.0
"""The service on a host of its own: a bare container under systemd, and a real cell beside it."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.e2e.conftest import ansible, changes
from tests.lab.cell import Cell
from tests.lab.identity import CHECKOUT
from tests.lab.lab import Lab
from tests.nano_client import NanoClient

pytestmark = [pytest.mark.lab, pytest.mark.heavy]

MIB = 1 << 20
PASSWORD = "Correct-horse-7"


def needed(name: str, extras: frozenset[str], found: set[str]) -> None:
    """Add what a distribution needs, itself left out; libvirt's binding comes from Debian."""
    for line in requires(name) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
            continue
        if requirement.name in found or requirement.name == "libvirt-python":
            continue
        found.add(requirement.name)
        needed(requirement.name, frozenset(requirement.extras), found)


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the service needs, as wheels of the versions that the tests use."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    found: set[str] = set()
    needed("nano-cloud", frozenset({"", "postgresql"}), found)
    frozen = subprocess.run(
        [sys.executable, "-m", "pip", "freeze", "--exclude-editable", "--all"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    names = {name.lower().replace("_", "-").replace(".", "-") for name in found}
    wanted = [
        line
        for line in frozen
        if line.split("==")[0].lower().replace("_", "-").replace(".", "-") in names
    ]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(folder), *wanted], check=True)
    return folder


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Two bare hosts; the first becomes a cell, the second the controller."""
    keep = os.environ.get("NANO_LAB_KEEP") == "1"
    lab = Lab("controller" + os.environ.get("PYTEST_XDIST_WORKER", ""))
    if not keep:
        lab.down()
    lab.up(2)
    yield lab
    if not keep:
        lab.down()


@pytest.fixture(scope="module")
def inventory(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an operator writes: one cell, one controller."""
    folder = tmp_path_factory.mktemp("inventory")
    text = lab.inventory_path.read_text()
    names = f"    cell2:\n      ansible_host: {lab.cell('cell2').address}\n"
    assert names in text
    (folder / "hosts.yml").write_text(text.replace(names, ""))
    variables = text.split("  vars:\n")[1].split("    cell_bridge")[0]
    (folder / "controller.yml").write_text(f"controller:\n  hosts:\n{names}  vars:\n{variables}")
    # What the controller is given names no file of this machine.
    (folder / "for_controller.yml").write_text(
        "cells:\n  hosts:\n    cell1:\n      ansible_host: "
        f"{lab.cell('cell1').address}\n  vars:\n    ansible_user: root\n"
        "    ansible_python_interpreter: /usr/bin/python3\n"
    )
    return folder


class Controller:
    """The controller's host, and how it is asked."""

    def __init__(self, lab: Lab, inventory: Path, wheelhouse: Path) -> None:
        self.host: Cell = lab.cell("cell2")
        self._inventory = inventory
        self._wheelhouse = wheelhouse

    def play(self, *values: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        options = ["-i", str(self._inventory / "controller.yml")]
        given = [
            f"controller_wheelhouse={self._wheelhouse}",
            f"controller_inventory={self._inventory / 'for_controller.yml'}",
            # The cells of a lab share this machine's processors with everything on it.
            '{"controller_settings": {"busy_cpu_percent": 100}}',
            *values,
        ]
        for value in given:
            options += ["-e", value]
        return ansible(
            CHECKOUT / "playbooks/controller.yml",
            self._inventory / "hosts.yml",
            *options,
            check=check,
        )

    def shell(self, script: str) -> str:
        done = self.host.run(["sh", "-c", script], check=False)
        assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def client(self) -> NanoClient:
        """A client that trusts the certificate of this controller and no other."""
        pem = self.shell("cat /etc/nano-cloud/service/tls/certificate.pem")
        trusted = ssl.create_default_context(cadata=pem)
        return NanoClient(f"https://{self.host.address}:5870", trusted=trusted)


@pytest.fixture(scope="module")
def controller(lab: Lab, inventory: Path, wheelhouse: Path) -> Controller:
    """Onboards the cell, and knows how to make the controller."""
    ansible(CHECKOUT / "playbooks/cell_onboard.yml", inventory / "hosts.yml")
    return Controller(lab, inventory, wheelhouse)


def logged_in(controller: Controller) -> NanoClient:
    client = controller.client()
    client.wait_until_it_serves()
    client.login("admin", PASSWORD)
    return client


def test_a_service_under_systemd_behind_tls_keeps_its_data(
    lab: Lab, controller: Controller
) -> None:
    controller.play("controller_database=postgresql")
    again = controller.play("controller_database=postgresql")
    assert changes(again) == {"cell2": 0}, again.stdout

    assert controller.shell("systemctl is-active nano-cloud nano-cloud-backup.timer") == (
        "active\nactive"
    )
    user = "systemctl show -p MainPID --value nano-cloud | xargs ps -o user= -p"
    assert controller.shell(user) == "nano"
    client = controller.client()
    client.wait_until_it_serves()
    client.initialise("admin", PASSWORD)
    client.login("admin", PASSWORD)
    client.call("POST", "/compute_pools/lab")
    client.call("POST", "/compute_pool_cells/lab/cell1")
    client.wait_for_live_cells({"cell1"})
    image = client.upload_image("tiny", lab.image_qcow2, owner="admin", group="admin")
    order = {
        "name": "first",
        "owner": "admin",
        "group": "admin",
        "pool": "lab",
        "cores": 1,
        "memory": 64 * MIB,
        "disks": [256 * MIB],
        "template": "centos-7",
        "from_image": image,
    }
    guest_id, _job = client.create_guest(order)
    before = client.wait_for_guest(guest_id)
    assert lab.cell("cell1").run(["virsh", "domstate", guest_id]).stdout.strip() == "shut off"

    folder = "/var/backups/nano-cloud"
    controller.shell("systemctl start nano-cloud-backup.service")
    file = controller.shell(f"ls {folder}/nano-cloud-*.tar.gz")
    assert controller.shell(f"stat -c '%a %U' {file}") == "600 nano"
    controller.shell(
        "systemctl stop nano-cloud && rm -r /var/lib/nano-cloud/service/secret.key && "
        "runuser -u postgres -- dropdb nano && "
        "runuser -u postgres -- createdb --template=template0 --locale=C.UTF-8 --encoding=UTF8 "
        f"--owner=nano nano && nanoctl restore {file} && systemctl start nano-cloud"
    )
    client = logged_in(controller)
    assert client.get(f"/guests/{guest_id}") == before
    secret = client.get(f"/instances/{guest_id}")
    assert secret["id"] == guest_id
    client.wait_for_live_cells({"cell1"})
    client.call("POST", f"/instances/{guest_id}")
    client.call("DELETE", f"/instances/{guest_id}", {"force": True})
    client.call("DELETE", f"/guests/{guest_id}")
    client.close()


def test_a_bad_value_is_named(controller: Controller) -> None:
    refused = controller.play(
        "controller_tls=proxy", "controller_port=80", "controller_tls_key=/x", check=False
    )
    text = " ".join(refused.stdout.split())
    assert refused.returncode != 0
    for part in ("controller_trusted_proxies: with", "controller_port: 80 is not", "give both"):
        assert part in text
