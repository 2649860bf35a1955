# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module through Ansible and ssh on a real cell: real libvirt, real QEMU, a guest that boots.

Each change runs three times: in check mode, for real, and again, when nothing may change.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.cell import Cell
from tests.lab.fixtures import lab  # noqa: F401
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[6]
MIB, GIB = 2**20, 2**30
IMAGE_VIRTUAL_LIMIT = 8 * GIB


class _Unsafe(str):
    """Text that Ansible must not take for a template."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(
    _Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style='"')
)


def _untemplated(value: Any) -> Any:
    if isinstance(value, str):
        return _Unsafe(value) if value else value  # Ansible reads an empty one as nothing.
    if isinstance(value, dict):
        return {key: _untemplated(inner) for key, inner in value.items()}
    return [_untemplated(inner) for inner in value] if isinstance(value, list) else value


class Site:
    """Modules called on one cell by playbooks of one task."""

    def __init__(self, laboratory: Lab, cell: Cell, folder: Path) -> None:
        self.lab = laboratory
        self.cell = cell
        self._result = folder / "result.json"
        self._playbook = folder / "play.yml"

    def command(self, module: str, *flags: str, **options: Any) -> list[str]:
        task = {f"nano.cloud.{module}": _untemplated(options)}
        keep = {"content": "{{ result | to_json }}", "dest": str(self._result), "mode": "0600"}
        play = {
            "hosts": self.cell.name,
            "gather_facts": False,
            "tasks": [
                {**task, "register": "result", "ignore_errors": True},
                {
                    "ansible.builtin.copy": keep,
                    "delegate_to": "localhost",
                    "check_mode": False,
                    "diff": False,
                },
            ],
        }
        self._playbook.write_text(yaml.dump([play], Dumper=_Dumper))
        program = Path(sys.executable).with_name("ansible-playbook")
        inventory = str(self.lab.inventory_path)
        return [str(program), "-i", inventory, *flags, str(self._playbook)]

    def run(self, module: str, *flags: str, **options: Any) -> dict[str, Any]:
        """The module's result; ``error`` is in it when it failed."""
        done = subprocess.run(
            self.command(module, *flags, **options),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert self._result.exists(), done.stdout + done.stderr
        result: dict[str, Any] = json.loads(self._result.read_text())
        self._result.unlink()
        return result

    def forget(self) -> None:
        """Drop the result of a run that was started by hand."""
        self._result.unlink(missing_ok=True)

    def check_then_real_then_again(self, module: str, **options: Any) -> dict[str, Any]:
        foretold = self.run(module, "--check", "--diff", **options)
        assert foretold.get("changed"), foretold
        real = self.run(module, "--diff", **options)
        assert real.get("changed"), real
        assert foretold["diff"] == real["diff"]
        again = self.run(module, "--diff", **options)
        assert again.get("changed") is False, again
        return real

    def shell(self, text: str) -> str:
        return self.cell.run(["sh", "-c", text]).stdout.strip()

    def guest(self, guest_id: str) -> dict[str, Any]:
        guests = self.run("guest_info", id=guest_id)["guests"]
        assert len(guests) == 1
        found: dict[str, Any] = guests[0]
        return found


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Site:  # noqa: F811
    cell = lab.cells[0]
    playbook = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [playbook, "-i", lab.inventory_path, "--limit", cell.name, "playbooks/cell_onboard.yml"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    return Site(lab, cell, tmp_path_factory.mktemp("results"))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def web(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A folder and its URL, reachable from the cells only."""
    folder = tmp_path_factory.mktemp("web")
    handler = functools.partial(_Quiet, directory=str(folder))
    server = ThreadingHTTPServer((site.lab.host_address, 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://{site.lab.host_address}:{server.server_port}", folder
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def image(site: Site, web: tuple[str, Path]) -> Iterator[dict[str, Any]]:
    url, folder = web
    (folder / "tiny.qcow2").write_bytes(site.lab.image_qcow2.read_bytes())
    made = site.check_then_real_then_again("image", id="tiny", url=f"{url}/tiny.qcow2")
    yield made["image"]
    assert site.run("image", id="tiny", state="absent").get("changed")


@pytest.fixture
def guest_id(site: Site) -> Iterator[str]:
    """An id; whatever the test made of it is removed, and nothing of it is left."""
    new = str(uuid.uuid4())
    yield new
    site.run("guest", id=new, state="absent", force=True)
    assert site.shell(f"find /var/lib/libvirt /var/log/libvirt -name '*{new}*'") == ""
    assert site.shell(f"virsh domuuid {new} 2>/dev/null || true") == ""


def basis(guest_id: str, **more: Any) -> dict[str, Any]:
    name = f"test.{guest_id[:8]}"
    disks = [{"size_bytes": 2 * GIB, "image": "tiny"}]
    guest = {"id": guest_id, "name": name, "cores": 2, "memory_bytes": 128 * MIB, "disks": disks}
    return {**guest, "serial_log": True, "display": {"password": "first"}, **more}


def wait_for(what: str, look: Any, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds} s")


def console(site: Site, guest_id: str) -> str:
    return site.shell(f"cat /var/log/libvirt/qemu/{guest_id}.serial.log 2>/dev/null || true")


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
    for choice in choices:
        changed = site.run("guest", id=guest_id, **choice)
        assert changed.get("changed"), (choice, changed)
        assert site.run("guest", id=guest_id, **choice).get("changed") is False, choice


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
    for options, code in (
        (basis(guest_id, pool="nowhere"), "not_found"),
        (basis(guest_id, disks=[{"size_bytes": GIB, "image": "nothing"}]), "not_found"),
        (basis(guest_id, disks=[{"size_bytes": MIB, "image": "tiny"}]), "invalid_input"),
        (basis(guest_id, disks=[{"size_bytes": 60 * 2**40}]), "no_space"),
        (basis(guest_id, cores=3), "invalid_input"),
        (basis(guest_id, name="{{ lookup('pipe', 'touch /tmp/x') }}"), "invalid_input"),
    ):
        assert site.run("guest", **options)["error"]["code"] == code
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
