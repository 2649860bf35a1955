# SPDX-License-Identifier: Apache-2.0
"""`make up`: two cells, the API and a running guest; `make down`: nothing of them."""

# A command line talks by printing.
# ruff: noqa: T201

import argparse
import os
import secrets
import shutil
import socket
import string
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.api_process import ApiProcess, end_services_of_this_checkout
from tests.lab.cell import Cell
from tests.lab.errors import LabError
from tests.lab.identity import CHECKOUT, DEFAULT_INSTANCE
from tests.lab.lab import Lab
from tests.lab.screenshot import screenshot

if TYPE_CHECKING:
    from tests.nano_client import NanoClient

PORT = 5870
POOL = "lab"
GUEST = "hello"
IMAGE = "tiny"
USER = "admin"
GROUP = "admin"
BOOT_SECONDS = 90
_MIB = 1 << 20
_BEGUN = time.monotonic()


def say(text: str) -> None:
    """One line of progress, with the seconds since the start."""
    print(f"[{time.monotonic() - _BEGUN:5.1f} s] {text}", flush=True)


class FirstLight:
    """The lab of one instance, with the API beside it. ``main`` is what `make up` makes."""

    def __init__(self, instance: str, port: int) -> None:
        self.lab = Lab(instance, progress=say)
        self.port = port
        self.folder = CHECKOUT / "var"
        if instance != DEFAULT_INSTANCE:
            self.folder /= f"first-light-{instance}"
        self.api = ApiProcess(self.folder)
        self.environment_file = self.folder / "admin.env"
        self.picture = self.folder / f"{GUEST}.png"

    def up(self) -> None:
        """Everything, or as much as is missing."""
        from tests.nano_client import NanoClient

        self.folder.mkdir(parents=True, exist_ok=True)
        self.lab.up(2)
        onboard(self.lab, self.folder / "onboarding.log")
        url = self._start_api()
        password = self._password(url)
        client = NanoClient(url)
        try:
            client.wait_until_it_serves()
            client.initialise(USER, password)
            client.login(USER, password)
            fill_pool(client, self.lab)
            guest = ensure_guest(client, self.lab)
        finally:
            client.close()
        cell = self.lab.cell(guest["cell"])
        say(f"guest runs on {cell.name}; waiting until it has booted")
        address = wait_for_boot(cell, guest["id"])
        screenshot(cell, guest["name"], self.picture)
        self._print_summary(url, password, guest, address)

    def down(self) -> None:
        """End the API and the lab, and forget what they kept.

        `make down` ends the other labs of this checkout too: tests that were killed leave theirs.
        """
        self.api.stop()
        self.lab.down()
        if self.lab.identity.instance == DEFAULT_INSTANCE:
            for pid in end_services_of_this_checkout():
                say(f"ended the service that was left (process {pid})")
            for name in sorted(path.name for path in (CHECKOUT / "var").glob("lab-*")):
                say(f"removing what was left in var/{name}")
                Lab(name.removeprefix("lab-"), progress=say).down()
        shutil.rmtree(self.api.data, ignore_errors=True)
        for name in (self.environment_file.name, self.picture.name, "api.out", "onboarding.log"):
            (self.folder / name).unlink(missing_ok=True)
        say("everything is gone")

    def _start_api(self) -> str:
        """Start the API where the cells reach it, and on loopback where that is free."""
        ours = self.lab.host_address
        if self.api.pid is None:
            addresses = [a for a in (ours, "127.0.0.1") if a == ours or _is_free(a, self.port)]
            say(f"starting the API on {', '.join(addresses)}, port {self.port}")
            self.api.start(self.lab.inventory_path, self.port, addresses)
        return f"http://{ours}:{self.port}"

    def _password(self, url: str) -> str:
        """The administrator's password, made up once and kept in admin.env."""
        if self.environment_file.exists():
            for line in self.environment_file.read_text().splitlines():
                if line.startswith("NANO_PASSWORD="):
                    return line.removeprefix("NANO_PASSWORD=")
        letters = string.ascii_letters + string.digits
        # The rule wants a capital, a small letter and a digit.
        password = "Aa1" + "".join(secrets.choice(letters) for _ in range(13))
        handle = os.open(self.environment_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(f"NANO_URL={url}\nNANO_USER={USER}\nNANO_PASSWORD={password}\n")
        return password

    def _print_summary(self, url: str, password: str, guest: dict, address: str) -> None:
        cells = ", ".join(f"{cell.name} ({cell.address})" for cell in self.lab.cells)
        environment = self.environment_file.relative_to(CHECKOUT)
        print(f"""
nano-cloud runs.

  API         {url}/api/v1/   (page: {url}/api/v1/docs)
  account     {USER} / {password}   (also in {environment})
  cells       {cells}
  guest       {guest["name"]} on {guest["cell"]}, address {address}
  screenshot  {self.picture.relative_to(CHECKOUT)}

Next:
  . {environment}
  login='{{"user":"'$NANO_USER'","password":"'$NANO_PASSWORD'"}}'
  session=$(curl -s $NANO_URL/api/v1/sessions/ -d "$login" |
    python3 -c 'import json,sys; print(json.load(sys.stdin)["data"]["session"])')
  curl -s -H "Nano-Session: $session" $NANO_URL/api/v1/guests/{guest["id"]}
  python3 -m tests.lab exec {guest["cell"]} virsh list
  make down
""")


def onboard(lab: Lab, log: Path) -> None:
    """Run the real playbook; its tasks are the progress. Raises LabError when it fails."""
    say("onboarding the cells: playbooks/cell_onboard.yml")
    command = [str(CHECKOUT / ".venv/bin/ansible-playbook"), "-i", str(lab.inventory_path)]
    command.append(str(CHECKOUT / "playbooks/cell_onboard.yml"))
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}
    with (
        log.open("w") as file,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            if line.startswith("TASK ["):
                say("  " + line[len("TASK [") :].split("]")[0])
    if process.returncode != 0:
        raise LabError(f"Onboarding failed: see {log}.")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def fill_pool(client: "NanoClient", lab: Lab) -> None:
    """A compute pool with every cell of the lab."""
    if POOL not in {pool["name"] for pool in client.get("/compute_pools/")}:
        say(f"compute pool '{POOL}'")
        client.call("POST", f"/compute_pools/{POOL}")
    inside = {cell["name"] for cell in client.get(f"/compute_pool_cells/{POOL}")}
    for cell in lab.cells:
        if cell.name not in inside:
            say(f"cell '{cell.name}' into pool '{POOL}'")
            client.call("POST", f"/compute_pool_cells/{POOL}/{cell.name}")
    client.wait_for_live_cells({cell.name for cell in lab.cells})


def ensure_guest(client: "NanoClient", lab: Lab) -> dict:
    """The sample guest, running."""
    for found in client.get(f"/guest_search/?pool={POOL}"):
        if found["name"] == f"{GROUP}.{GUEST}":
            if found["created"] and not found["running"]:
                say(f"starting guest '{found['name']}'")
                client.call("POST", f"/instances/{found['id']}")
            return client.wait_for_guest(found["id"])
    images = {image["name"]: image["id"] for image in client.get("/disk_image_search/")}
    if IMAGE not in images:
        say(f"uploading image '{IMAGE}' ({lab.image_qcow2.stat().st_size / _MIB:.0f} MiB)")
        images[IMAGE] = client.upload_image(IMAGE, lab.image_qcow2, owner=USER, group=GROUP)
    template = next(t["id"] for t in client.get("/templates/") if t["name"] == "CentOS 7")
    order = {
        "name": GUEST,
        "owner": USER,
        "group": GROUP,
        "pool": POOL,
        "cores": 1,
        "memory": 128 * _MIB,
        "disks": [256 * _MIB],
        "from_image": images[IMAGE],
        "template": template,
        "auto_start": True,
    }
    guest_id, job = client.create_guest(order)
    say(f"creating guest '{GUEST}' (job {job})")
    shown = -1

    def show(percent: int) -> None:
        nonlocal shown
        if percent != shown:
            shown = percent
            say(f"  {percent} %")

    return client.wait_for_guest(guest_id, on_progress=show)


def wait_for_boot(cell: Cell, guest_id: str) -> str:
    """The address that a guest says it has, on its serial console.

    Raises LabError when it says nothing in time.
    """
    log = f"/var/log/libvirt/qemu/{guest_id}.serial.log"
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        done = cell.run(["grep", "-a", "-o", "guest-ready.*", log], check=False)
        if done.returncode == 0:
            return done.stdout.splitlines()[-1].split()[2].strip()
        time.sleep(0.5)
    raise LabError(f"The guest did not boot within {BOOT_SECONDS} s: see {log} in {cell.name}.")


def main() -> None:
    """Entry of `python -m tests.lab.first_light`."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.first_light", description=__doc__)
    parser.add_argument("command", choices=["up", "down"])
    parser.add_argument(
        "--instance", default=DEFAULT_INSTANCE, help="another lab beside `make up`'s"
    )
    parser.add_argument("--port", type=int, default=PORT, help="the API's port")
    arguments = parser.parse_args()
    light = FirstLight(arguments.instance, arguments.port)
    try:
        light.up() if arguments.command == "up" else light.down()
    except LabError as error:
        sys.exit(f"make {arguments.command}: {error}")


if __name__ == "__main__":
    main()
