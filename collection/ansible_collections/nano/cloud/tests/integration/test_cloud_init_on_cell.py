# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Debian cloud image sets itself up by what the module says, seen from inside."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import (
    GIB,
    MIB,
    Site,
    console,
    wait_for,
)

pytestmark = pytest.mark.lab

# An emulated processor, shared with whatever else the machine does.
BOOT_SECONDS = 1200
PASSWORD = "Wide-7-open $HOME"


class Inside:
    """Commands in the guest, by ssh from this machine, with a key or with the password."""

    def __init__(self, key: Path, address: str, folder: Path) -> None:
        self._address = address
        self._key = ["-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
        self._ask = folder / "ask"
        self._ask.write_text("#!/bin/sh\nprintf '%s\\n' \"$NANO_TEST_PASSWORD\"\n")
        self._ask.chmod(0o700)

    def run(self, command: str, password: str = "") -> subprocess.CompletedProcess[str]:
        by_password = ["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]
        ask = {"SSH_ASKPASS": str(self._ask), "SSH_ASKPASS_REQUIRE": "force"}
        known = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        quick = ["-o", "ConnectTimeout=30", "-o", "LogLevel=ERROR"]
        way = [*(by_password if password else self._key), *known, *quick]
        return subprocess.run(
            ["ssh", *way, f"anna@{self._address}", command],
            env={**os.environ, **ask, "NANO_TEST_PASSWORD": password},
            capture_output=True,
            text=True,
            check=False,
        )

    def told(self, command: str) -> str:
        done = self.run(command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.strip()


def options(site: Site, guest_id: str, image: str, address: str) -> dict[str, Any]:
    return {
        "id": guest_id,
        "name": f"team.{guest_id[:8]}",
        "cores": 2,
        "memory_bytes": 768 * MIB,
        "disks": [{"size_bytes": 3 * GIB, "image": image}, {"size_bytes": 128 * MIB}],
        "serial_log": True,
        "cloud_init": {
            "hostname": "painted-door",
            "users": [
                {
                    "name": "anna",
                    "password": PASSWORD,
                    "ssh_keys": [site.lab.keys.client_public_key.strip()],
                    "groups": ["games"],
                    "sudo": True,
                }
            ],
            "ssh_pwauth": True,
            "network": {
                "addresses": [f"{address}/24"],
                "gateways": [site.lab.network.guest_lan_host_address],
                "dns": [site.lab.network.guest_lan_host_address],
                "search": ["example.org"],
            },
            "data_path": "/opt/data",
            "user_data": "#!/bin/sh\necho further-user-data-ran > /dev/ttyS0\n",
        },
    }


@pytest.mark.timeout(2 * BOOT_SECONDS)
def test_it_sets_itself_up(site: Site, cloud_image: str, guest_id: str, tmp_path: Path) -> None:
    address = str(site.lab.network.guest_lan[30])
    wanted = options(site, guest_id, cloud_image, address)
    made = site.check_then_real_then_again("guest", **wanted)
    assert made["guest"]["cloud_init"] is True
    assert PASSWORD not in json.dumps(made)
    assert "$6$" not in json.dumps(made)
    medium = f"/var/lib/libvirt/images/{guest_id}_ci.iso"
    assert site.shell(f"stat -c '%a %U' {medium}") == "600 root"

    site.run("guest_power", id=guest_id, state="running")
    inside = Inside(site.lab.keys.private_key, address, tmp_path)
    wait_for(
        "cloud-init's end",
        lambda: (
            "further-user-data-ran" in console(site, guest_id)
            and inside.run("cloud-init status").stdout.startswith("status: done")
        ),
        BOOT_SECONDS,
    )
    assert inside.told("hostname") == "painted-door"
    assert inside.run("id -un; id -Gn", PASSWORD).stdout.split() == ["anna", "anna", "games"]
    assert inside.run("true", "wrong").returncode == 255
    assert inside.told("sudo -n id -u") == "0"
    card = inside.told("ip -4 -oneline address show dev eth0")
    assert f"inet {address}/24" in card
    assert card.count("inet ") == 1
    gateway = site.lab.network.guest_lan_host_address
    assert inside.told("ip route show default").startswith(f"default via {gateway} ")
    resolver = inside.told("resolvectl dns eth0; resolvectl domain eth0")
    assert gateway in resolver
    assert "example.org" in resolver
    assert int(inside.told("df --output=size -k / | tail -n 1")) * 1024 > 2.5 * GIB
    assert inside.told("findmnt -n -o FSTYPE,TARGET /opt/data").split() == ["ext4", "/opt/data"]
    assert "LABEL=nano-data /opt/data" in inside.told("cat /etc/fstab")

    # While it runs only QEMU reads the medium beside root; the agent tells the address.
    assert site.shell(f"stat -c '%a %U' {medium}") == "600 libvirt-qemu"
    ping = '{"execute": "guest-network-get-interfaces"}'
    assert address in site.shell(f"virsh qemu-agent-command {guest_id} '{ping}'")

    # Another medium waits for the next start; the running guest keeps the one that it has.
    renewed = {**wanted["cloud_init"], "hostname": "other-door", "instance_id": "second"}
    site.check_then_real_then_again("guest", id=guest_id, cloud_init=renewed)
    assert inside.told("sudo blkid -s LABEL -o value /dev/sr1") == "cidata"
    refused = site.run("guest", id=guest_id, cloud_init={"enabled": False})
    assert refused["error"]["code"] == "conflict"
    site.run("guest_power", id=guest_id, state="stopped", force=True)
    site.check_then_real_then_again("guest", id=guest_id, cloud_init={"enabled": False})
    assert site.shell(f"ls {medium} 2>/dev/null || true") == ""
