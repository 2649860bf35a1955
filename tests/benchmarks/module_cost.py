# SPDX-License-Identifier: Apache-2.0
"""Seconds of each module on a lab cell, beside the same work told to libvirt without Ansible.

``make bench-modules``. Two columns: the task as Ansible counts it (ssh, copying the module, running
it), and the raw calls of ``raw_calls.py`` in the cell. Median of some rounds; nothing is judged.
"""

# A command line talks by printing.
# ruff: noqa: T201

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import uuid
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import ansible_runner
import yaml

from tests.lab import Cell, Lab
from tests.lab.identity import CHECKOUT

_GIB, _MIB = 1 << 30, 1 << 20
_RAW = Path(__file__).with_name("raw_calls.py")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        pass


def _tasks_of_a_round(url: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(row of the table, module, options) in the order in which they are done."""
    guest = str(uuid.uuid4())
    name = f"bench.{guest[:8]}"
    new = {
        "id": guest, "name": name, "cores": 1, "memory_bytes": 64 * _MIB,
        "disks": [{"size_bytes": 2 * _GIB, "image": "bench-tiny"}],
    }  # fmt: skip
    stop = {"id": guest, "state": "stopped", "force": True}
    policy = {"name": f"bench-{guest[:8]}", "default_action": "drop"}
    rules = [{"action": "accept", "protocol": "tcp", "ports": "22"}]
    pool = {"name": f"bench-{guest[:8]}", "path": f"/srv/bench-{guest[:8]}"}
    image = {"id": f"bench-{guest[:8]}", "url": f"{url}/tiny.qcow2", "wait_seconds": 60}
    return [
        ("image: fetch", "image", image),
        ("image: remove", "image", {"id": image["id"], "state": "absent"}),
        ("guest: create", "guest", new),
        ("guest: nothing to do", "guest", new),
        ("guest: change", "guest", {"id": guest, "owner": "somebody"}),
        ("guest_power: running", "guest_power", {"id": guest, "state": "running"}),
        ("guest_info", "guest_info", {"id": guest}),
        ("guest_media: insert", "guest_media", {"id": guest, "image": "bench-iso"}),
        ("guest_media: eject", "guest_media", {"id": guest, "state": "ejected"}),
        ("guest_power: stopped", "guest_power", stop),
        ("snapshot: create", "snapshot", {"id": guest, "snapshot": "one"}),
        ("snapshot_info", "snapshot_info", {"id": guest}),
        ("snapshot: delete", "snapshot", {"id": guest, "snapshot": "one", "state": "absent"}),
        ("guest: remove", "guest", {"id": guest, "state": "absent", "force": True}),
        ("storage_pool: create", "storage_pool", pool),
        ("storage_pool: remove", "storage_pool", {"name": pool["name"], "state": "absent"}),
        ("security_policy: create", "security_policy", {**policy, "rules": rules}),
        ("security_policy: remove", "security_policy", {"name": policy["name"], "state": "absent"}),
        ("cell_info", "cell_info", {}),
    ]  # fmt: skip


class Bench:
    """One cell, measured through Ansible and without it."""

    def __init__(self, lab: Lab, rounds: int) -> None:
        self._lab = lab
        self._rounds = rounds
        self.cell: Cell = lab.cells[0]
        self.seconds: dict[str, list[float]] = {}

    def play(self, tasks: list[tuple[str, str, dict[str, Any]]], *, count: bool = True) -> None:
        """Run the tasks as one play and add the seconds of each.

        :raises RuntimeError: one has failed
        """
        listed = [{"name": row, f"nano.cloud.{module}": how} for row, module, how in tasks]
        play = [{"hosts": self.cell.name, "gather_facts": False, "tasks": listed}]
        failures: list[str] = []

        def on_event(event: dict[str, Any]) -> bool:
            data = event.get("event_data") or {}
            if event.get("event") == "runner_on_ok" and count:
                self.seconds.setdefault(data["task"], []).append(float(data["duration"]))
            elif event.get("event") in ("runner_on_failed", "runner_on_unreachable"):
                failures.append(f"{data['task']}: {data['res'].get('msg')}")
            return False

        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "project").mkdir()
            (Path(folder) / "project" / "play.yml").write_text(yaml.safe_dump(play))
            run = ansible_runner.run(
                private_data_dir=folder,
                playbook="play.yml",
                inventory=str(self._lab.inventory_path),
                envvars={
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
                    "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / "collection"),
                },
                event_handler=on_event,
                quiet=True,
            )
            told = run.stdout.read() if run.rc else ""
        if run.rc:
            raise RuntimeError("; ".join(failures) or told)

    def raw(self, guest: str, image_path: str) -> dict[str, list[float]]:
        """The same work inside the cell, without Ansible and our modules."""
        xml = self._virsh("dumpxml", "--inactive", guest)
        mac = xml.split("<mac address='", 1)[1].split("'", 1)[0]
        policy = self._virsh("nwfilter-dumpxml", "nano-bench-model")
        order = {
            "xml": xml,
            "id": guest,
            "name": "bench.model",
            "mac": mac,
            "image": image_path,
            "iso": "/var/lib/libvirt/nano-images/bench-iso.iso",
            "policy": policy,
            "policy_name": "nano-bench-model",
            "policy_id": policy.split("<uuid>", 1)[1].split("<", 1)[0],
            "times": self._rounds,
        }
        self.cell.run(["sh", "-c", "cat > /tmp/raw_calls.py"], input_text=_RAW.read_text())
        order_text = json.dumps(order)
        done = self.cell.run(["python3", "/tmp/raw_calls.py"], input_text=order_text)
        found: dict[str, list[float]] = json.loads(done.stdout)
        return found

    def _virsh(self, *words: str) -> str:
        return self.cell.run(["virsh", *words]).stdout


def measure(bench: Bench, url: str, rounds: int) -> dict[str, list[float]]:
    """Prepare what the rounds share, do them, and clear away; returns the raw seconds."""
    model = str(uuid.uuid4())
    policy = {"name": "bench-model", "default_action": "drop", "rules": []}
    guest = {
        "id": model, "name": "bench.model", "cores": 1, "memory_bytes": 64 * _MIB,
        "disks": [{"size_bytes": 2 * _GIB, "image": "bench-tiny"}],
    }  # fmt: skip
    images = [
        {"id": "bench-tiny", "url": f"{url}/tiny.qcow2", "wait_seconds": 60},
        {"id": "bench-iso", "url": f"{url}/tiny.iso", "format": "iso", "wait_seconds": 60},
    ]
    shared = [("image", each) for each in images] + [("security_policy", policy), ("guest", guest)]
    try:
        bench.play([(module, module, options) for module, options in shared], count=False)
        path = bench.cell.run(["virsh", "vol-path", "bench-tiny.qcow2", "nano-images"]).stdout
        for _ in range(rounds):
            bench.play(_tasks_of_a_round(url))
        return bench.raw(model, path.strip())
    finally:
        gone = [("guest", "guest", {"id": model, "state": "absent", "force": True})]
        gone.append(("policy", "security_policy", {"name": "bench-model", "state": "absent"}))
        gone += [("image", "image", {"id": i["id"], "state": "absent"}) for i in images]
        bench.play(gone, count=False)


def table(ours: dict[str, list[float]], raw: dict[str, list[float]]) -> str:
    """Markdown: medians in seconds."""
    lines = ["| task | through Ansible, s | libvirt alone, s |", "|---|---|---|"]
    for row, seconds in ours.items():
        alone = f"{statistics.median(raw[row]):.3f}" if row in raw else "-"
        lines.append(f"| {row} | {statistics.median(seconds):.2f} | {alone} |")
    return "\n".join(lines)


def main() -> None:
    """Entry of ``python -m tests.benchmarks.module_cost``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often (default 5)")
    rounds = parser.parse_args().rounds
    lab = Lab("bench", progress=print)
    lab.up(1)
    try:
        onboard = [str(CHECKOUT / ".venv/bin/ansible-playbook"), "-i", str(lab.inventory_path)]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}
        subprocess.run([*onboard, "playbooks/cell_onboard.yml"], cwd=CHECKOUT, env=environment,
                       stdout=subprocess.DEVNULL, check=True)  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "tiny.qcow2").write_bytes(lab.image_qcow2.read_bytes())
            (Path(folder) / "tiny.iso").write_bytes(lab.image_iso.read_bytes())
            handler = functools.partial(_Quiet, directory=folder)
            server = ThreadingHTTPServer((lab.host_address, 0), handler)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            bench = Bench(lab, rounds)
            try:
                raw = measure(bench, f"http://{lab.host_address}:{server.server_port}", rounds)
            finally:
                server.shutdown()
                server.server_close()
        print(table(bench.seconds, raw))
    finally:
        if os.environ.get("NANO_LAB_KEEP") != "1":
            lab.down()


if __name__ == "__main__":
    main()
