# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules called through Ansible and ssh on a real cell, and what tests of them share."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tests.lab.cell import Cell
from tests.lab.lab import Lab

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
        return self.result()

    def result(self) -> dict[str, Any]:
        """The result of a run that was started by hand."""
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


def say(site: Site, guest_id: str, command: str) -> None:
    """Type a command at the running guest's serial console."""
    terminal = site.shell(f"virsh ttyconsole {guest_id}")
    # QEMU looks once a second whether somebody has opened the terminal, and only then reads.
    held_open = f"(cat; sleep 2) > {terminal}"
    site.cell.run(["sh", "-c", held_open], input_text=f"{command}\n")


def ask(site: Site, guest_id: str, command: str) -> str:
    """What a command in the running guest prints; it must be one word."""
    mark = f"{time.monotonic_ns()}"
    say(site, guest_id, f"echo A{mark}A$({command})Z")
    told = wait_for(
        f"an answer to {command}",
        lambda: f"\nA{mark}A" in console(site, guest_id).replace("\r", ""),
        30,
    )
    assert told
    text = console(site, guest_id).replace("\r", "")
    return text.rsplit(f"\nA{mark}A", 1)[1].split("Z", 1)[0]
