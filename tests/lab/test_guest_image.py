# SPDX-License-Identifier: Apache-2.0
"""The tiny guest boots, says who it is, and goes when its power button is pressed."""

import base64
import json
import os
import queue
import re
import socket
import subprocess
import threading
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.lab.commands import run
from tests.lab.lab import Lab
from tests.lab.screenshot import png_from_ppm

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="building the image needs root"),
]

BOOT_SECONDS = 90
MAC = "52:54:00:ab:cd:ef"


class EmulatedMachine:
    """QEMU on this machine with the guest's serial port and QEMU's own control socket."""

    def __init__(self, directory: Path, arguments: list[str]) -> None:
        self._socket_path = directory / "qmp"
        self._process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "256", "-display", "none",
             "-serial", "stdio", "-monitor", "none", "-no-reboot",
             "-qmp", f"unix:{self._socket_path},server=on,wait=off", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, errors="replace",
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "EmulatedMachine":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip())

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + BOOT_SECONDS
        seen = []
        while time.monotonic() < deadline:
            try:
                line = self._lines.get(timeout=0.2)
            except queue.Empty:
                continue
            seen.append(line)
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"{pattern!r} did not come on the serial port: {seen[-10:]}")

    def type_line(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()

    def control(self, *commands: dict[str, object]) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._socket_path))
            with connection.makefile("rw") as stream:
                stream.readline()
                for command in ({"execute": "qmp_capabilities"}, *commands):
                    stream.write(json.dumps(command) + "\n")
                    stream.flush()
                    reply = json.loads(stream.readline())
                    assert "error" not in reply, reply

    def wait_for_end(self, seconds: float) -> int:
        return self._process.wait(timeout=seconds)


def disk(path: Path, interface: str) -> list[str]:
    return ["-drive", f"file={path},format=qcow2,if={interface},snapshot=on"]


@pytest.mark.parametrize("medium", ["disk", "cd"])
def test_boots_gets_an_address_and_powers_off(tmp_path: Path, medium: str) -> None:
    lab = Lab("test")
    drive = disk(lab.image_qcow2, "virtio") if medium == "disk" else ["-cdrom", str(lab.image_iso)]
    network = ["-nic", f"user,model=virtio-net-pci,mac={MAC}"]
    with EmulatedMachine(tmp_path, [*drive, *network]) as machine:
        ready = machine.wait_for_line(r"^guest-ready (\S+) (\S+)$")
        assert ready.groups() == ("guest-abcdef", "10.0.2.15")
        picture = tmp_path / "screen.ppm"
        machine.control({"execute": "screendump", "arguments": {"filename": str(picture)}})
        png = png_from_ppm(picture.read_bytes())
        assert png.startswith(b"\x89PNG")
        machine.control({"execute": "system_powerdown"})
        assert machine.wait_for_end(20) == 0


@pytest.mark.parametrize(("interface", "model"), [("ide", "e1000"), ("scsi", "rtl8139")])
def test_image_with_all_drivers_on_emulated_hardware(
    tmp_path: Path, interface: str, model: str
) -> None:
    image = Lab("test").image_all_drivers_qcow2
    drive = disk(image, "ide")
    if interface == "scsi":
        drive = ["-device", "virtio-scsi-pci", *disk(image, "none,id=disk"),
                 "-device", "scsi-hd,drive=disk"]  # fmt: skip
    with EmulatedMachine(tmp_path, [*drive, "-nic", f"user,model={model}"]) as machine:
        assert machine.wait_for_line(r"^guest-ready \S+ (\S+)$")[1] == "10.0.2.15"


def test_guest_lan_gives_it_an_address_that_the_lab_knows(tmp_path: Path) -> None:
    lab = Lab("labtest5")
    lab.down()
    lab.up(1)
    tap = f"{lab.network.guest_bridge}t"
    try:
        run(["ip", "tuntap", "add", tap, "mode", "tap"])
        run(["ip", "link", "set", tap, "master", lab.network.guest_bridge, "up"])
        card = ["-netdev", f"tap,id=lan,ifname={tap},script=no,downscript=no",
                "-device", f"virtio-net-pci,netdev=lan,mac={MAC}"]  # fmt: skip
        with EmulatedMachine(tmp_path, [*disk(lab.image_qcow2, "virtio"), *card]) as machine:
            address = machine.wait_for_line(r"^guest-ready \S+ (\S+)$")[1]
            assert IPv4Address(address) in lab.network.guest_lan
            assert lab.leases() == {MAC: address}
    finally:
        run(["ip", "link", "delete", tap], check=False)
        lab.down()


def test_shell_on_the_serial_port_and_a_missing_card_is_named(tmp_path: Path) -> None:
    image = Lab("test").image_qcow2
    with EmulatedMachine(tmp_path, [*disk(image, "virtio"), "-nic", "none"]) as machine:
        assert machine.wait_for_line(r"^guest-ready \S+ (\S+)$")[1] == "no-network-card"
        machine.type_line("echo $((6 * 7))-is-said")
        machine.wait_for_line(r"^42-is-said$")


def test_disk_is_a_plain_qcow2_of_a_sensible_size() -> None:
    image = Lab("test").image_qcow2
    described = json.loads(
        subprocess.check_output(["qemu-img", "info", "--output=json", "-f", "qcow2", str(image)])
    )
    assert described["virtual-size"] == 64 * 1024 * 1024
    assert "backing-filename" not in described


def test_the_agent_answers_and_sets_passwords(tmp_path: Path) -> None:
    agent = tmp_path / "agent"
    devices = [
        *("-chardev", f"socket,path={agent},server=on,wait=off,id=agent"),
        *("-device", "virtio-serial-pci"),
        *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
    ]
    drive = disk(Lab("test").image_agent_qcow2, "virtio")
    with EmulatedMachine(tmp_path, [*drive, *devices, "-nic", "none"]) as machine:
        machine.wait_for_line("guest-ready ")
        with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rw") as stream:
            connection.settimeout(BOOT_SECONDS)
            connection.connect(str(agent))
            password = base64.b64encode(b"Secret 1").decode()
            arguments = {"username": "admin", "password": password, "crypted": False}
            order = {"execute": "guest-set-user-password", "arguments": arguments}
            stream.write(json.dumps(order) + "\n")
            stream.flush()
            assert json.loads(stream.readline()) == {"return": {}}
        machine.type_line("grep admin /etc/shadow")
        machine.wait_for_line(r"^admin:\$6\$")
