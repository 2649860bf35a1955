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
    """Modules called on one cell by playbooks of a task or a few."""

    def __init__(self, laboratory: Lab, cell: Cell, folder: Path) -> None:
        self.lab = laboratory
        self.cell = cell
        self._lines = folder / "results.jsonl"
        self._playbook = folder / "play.yml"

    def command(self, module: str, *flags: str, **options: Any) -> list[str]:
        """How to call a module from a shell; ``result`` reads what it said."""
        return self._command([{f"nano.cloud.{module}": _untemplated(options)}], *flags)

    def _command(self, tasks: list[dict[str, Any]], *flags: str) -> list[str]:
        play = {
            "hosts": self.cell.name,
            "gather_facts": False,
            "tasks": [{**task, "ignore_errors": True} for task in tasks],
        }
        self._playbook.write_text(yaml.dump([play], Dumper=_Dumper))
        program = Path(sys.executable).with_name("ansible-playbook")
        inventory = str(self.lab.inventory_path)
        settings = {
            "ANSIBLE_CALLBACK_PLUGINS": Path(__file__).with_name("callback_plugins"),
            "ANSIBLE_CALLBACKS_ENABLED": "result_lines",
            "NANO_RESULT_LINES": self._lines,
        }
        given = [f"{name}={value}" for name, value in settings.items()]
        return ["env", *given, str(program), "-i", inventory, *flags, str(self._playbook)]

    def _results(self, command: list[str]) -> list[dict[str, Any]]:
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
        )
        assert self._lines.exists(), done.stdout + done.stderr
        results = [json.loads(line) for line in self._lines.read_text().splitlines()]
        self._lines.unlink()
        return results

    def run(self, module: str, *flags: str, **options: Any) -> dict[str, Any]:
        """The module's result; ``error`` is in it when it failed."""
        [result] = self._results(self.command(module, *flags, **options))
        return result

    def run_all(self, *calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """The results of modules called one after the other in one run, failed or not."""
        tasks = [{f"nano.cloud.{module}": _untemplated(options)} for module, options in calls]
        results = self._results(self._command(tasks))
        assert len(results) == len(calls)
        return results

    def result(self) -> dict[str, Any]:
        """The result of a run that was started by hand."""
        result: dict[str, Any] = json.loads(self._lines.read_text())
        self._lines.unlink()
        return result

    def forget(self) -> None:
        """Drop the result of a run that was started by hand."""
        self._lines.unlink(missing_ok=True)

    def check_then_real_then_again(self, module: str, **options: Any) -> dict[str, Any]:
        """Foretold by check mode, then done as foretold, then nothing left to do.

        Returns the second result. One run of three tasks: starting Ansible costs most.
        """
        task = {f"nano.cloud.{module}": _untemplated(options), "diff": True}
        foretold, real, again = self._results(
            self._command([{**task, "check_mode": True}, task, task])
        )
        assert foretold.get("changed"), foretold
        assert real.get("changed"), real
        assert foretold["diff"] == real["diff"]
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
