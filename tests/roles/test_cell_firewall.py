# SPDX-License-Identifier: Apache-2.0
"""What is let in to a cell: the rules as text, and on a real cell by packets."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils.errors import InvalidInput
from tests.lab.cell import Cell
from tests.lab.lab import Lab
from tests.roles.test_cell_modules import library_module

CHECKOUT = Path(__file__).resolve().parents[2]
PART = """\
- hosts: cell1
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: cell, tasks_from: firewall}
"""
REMOVAL = """\
- hosts: cell1
  gather_facts: false
  roles: [{role: cell, when: false}]
  tasks:
    - cell_firewall: {state: absent}
"""
EXTENSION = """\
- hosts: cell1
  gather_facts: false
  roles: [{role: cell, when: false}]
  tasks:
    - cell_firewall: {state: extended, sources: ["{{ address }}"]}
"""
#: Exit status 0: a connection; 1: nobody listens; 2: not let in.
CONNECT = """\
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).close()
except ConnectionRefusedError:
    sys.exit(1)
except OSError:
    sys.exit(2)
"""
CONNECTED, NOBODY, KEPT_OUT = 0, 1, 2


def rules(**params: Any) -> list[str]:
    module = library_module("cell_firewall")
    text = module.ruleset([22, 2222], {"bridge": "br0", "sources": [], "allow": [], **params})
    return [line.strip() for line in text.splitlines()]


def test_the_rules_name_who_may_come() -> None:
    found = rules(
        sources=["192.0.2.12", "192.0.2.13", "198.51.100.7/24", "2001:db8::1"],
        allow=[
            {"port": "9100", "protocol": "tcp", "source": "203.0.113.0/24"},
            {"port": "60000-60010", "protocol": "udp", "source": ""},
        ],
    )
    assert "type filter hook input priority filter; policy drop;" in found
    assert "tcp dport { 22, 2222 } accept" in found
    ports = "tcp dport 49152-49215 accept"
    assert f"ip saddr {{ 192.0.2.12/31, 198.51.100.0/24 }} {ports}" in found
    assert f"ip6 saddr {{ 2001:db8::1/128 }} {ports}" in found
    assert 'iifname "br0" udp dport 67 accept' in found
    assert "ip saddr { 203.0.113.0/24 } tcp dport 9100 accept" in found
    assert "udp dport 60000-60010 accept" in found
    assert not [line for line in rules() if "49152" in line]


def test_a_new_cell_is_added_as_a_run_for_all_would() -> None:
    module = library_module("cell_firewall")
    allow = [{"port": "9100", "protocol": "tcp", "source": "203.0.113.0/24"}]
    all_of = {"bridge": "br1", "allow": allow}
    few = module.ruleset([22], {**all_of, "sources": ["192.0.2.12"]})
    networks = ["192.0.2.13/32", "192.0.2.12/32", "2001:db8::1/128"]
    more = module.ruleset([22], {**all_of, "sources": networks})
    assert module.with_sources(few, networks) == more
    assert module.with_sources(more, networks) == more
    none = module.ruleset([22], {**all_of, "sources": []})
    assert module.with_sources(none, networks) == more
    assert module.with_sources("", networks) == ""


@pytest.mark.parametrize(
    "bad",
    [
        {"bridge": 'br0" accept'},
        {"sources": ["no such host.invalid"]},
        {"allow": [{"port": "0", "protocol": "tcp", "source": ""}]},
        {"allow": [{"port": "90-80", "protocol": "tcp", "source": ""}]},
        {"allow": [{"port": "22 accept", "protocol": "tcp", "source": ""}]},
        {"allow": [{"port": "70000", "protocol": "tcp", "source": ""}]},
    ],
)
def test_a_value_cannot_write_rules_of_its_own(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        rules(**bad)


def test_every_port_of_the_ssh_server_is_let_in() -> None:
    ports = library_module("cell_firewall").ports_of_sshd
    assert ports("port 22\nport 2022\nlistenaddress 0.0.0.0:22\nlistenaddress [::]:443\n") == [
        22,
        443,
        2022,
    ]
    assert ports("") == [22]


class Play:
    """A playbook, run against the first cell."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._folder = folder

    def __call__(self, playbook: str, *options: str) -> str:
        book = self._folder / "play.yml"
        book.write_text(playbook)
        program = Path(sys.executable).with_name("ansible-playbook")
        done = subprocess.run(
            [program, "-i", self._lab.inventory_path, book, *options],
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
                "ANSIBLE_ROLES_PATH": str(CHECKOUT / "roles"),
                "ANSIBLE_NOCOLOR": "1",
            },
            capture_output=True,
            text=True,
        )
        return " ".join((done.stdout + done.stderr).split())


def reach(source: Cell | None, address: str, port: int) -> int:
    """Whether a cell, or this machine, which is none, reaches a port."""
    arguments = ["python3", "-c", CONNECT, address, str(port)]
    if source is not None:
        return source.run(arguments, check=False).returncode
    return subprocess.run(arguments, check=False).returncode


def table(cell: Cell) -> str:
    return cell.run(["nft", "list", "table", "inet", "nano_cell"], check=False).stdout


@pytest.mark.lab
def test_a_cell_lets_in_what_it_needs_and_ansible(lab: Lab, tmp_path: Path) -> None:
    play, (cell, other) = Play(lab, tmp_path), lab.cells
    cell.run(["sh", "-c", "apt-get -qq update && apt-get -qq install -y nftables"])
    for port in (49152, 8080, 8081):
        unit = [f"--unit=listen-{port}", "python3", "-m", "http.server", str(port)]
        cell.run(["systemd-run", "--collect", *unit])
    allow = ("-e", '{"cell_firewall_allow": [{"port": "8080"}]}')
    try:
        foretold = play(PART, "--check", "--diff", *allow)
        assert "+ tcp dport 8080 accept" in foretold
        assert table(cell) == ""
        assert "failed=0" in play(PART, *allow)
        assert "changed=0" in play(PART, *allow)
        assert reach(other, cell.address, 49152) == CONNECTED
        assert reach(None, cell.address, 49152) == KEPT_OUT
        assert reach(None, cell.address, 8080) == CONNECTED
        assert reach(other, cell.address, 8081) == KEPT_OUT
        assert reach(other, cell.address, 22) == CONNECTED
        assert reach(cell, "127.0.0.1", 8081) == CONNECTED

        # What a run for a new cell does on this one.
        out = play(EXTENSION, "-e", "address=192.0.2.99")
        assert "changed=1" in out
        assert "192.0.2.99" in table(cell)
        assert reach(other, cell.address, 49152) == CONNECTED
        assert reach(other, cell.address, 8081) == KEPT_OUT
        assert "changed=0" in play(EXTENSION, "-e", "address=192.0.2.99")
        cell.run(["systemctl", "restart", "nano-cloud-firewall"])
        assert "192.0.2.99" in table(cell)
        assert "changed=1" in play(PART, *allow)
        assert "192.0.2.99" not in table(cell), "it is no cell of the inventory"

        # Whoever empties the rules of the host: they come back with its service, or the next run.
        cell.run(["systemctl", "restart", "nftables"])
        assert reach(other, cell.address, 8081) == KEPT_OUT
        cell.run(["nft", "flush", "ruleset"])
        assert "changed=1" in play(PART, *allow)

        # An ssh server that does not listen where its settings say: Ansible would be kept out.
        settings = "/etc/ssh/sshd_config.d/port.conf"
        cell.run(["sh", "-c", f"echo Port 2222 > {settings}"])
        out = play(PART, *allow, "-e", "cell_firewall_confirm_seconds=20")
        assert "the new rules of the firewall were undone" in out
        assert "dport 22 accept" in table(cell)
        cell.run(["rm", settings])
        assert "changed=0" in play(PART, *allow)
    finally:
        gone = play(REMOVAL)
        for port in (49152, 8080, 8081):
            cell.run(["systemctl", "stop", f"listen-{port}"])
    assert "failed=0" in gone
    assert table(cell) == ""
    assert "changed=0" in play(REMOVAL)
    assert "changed=0" in play(EXTENSION, "-e", "address=192.0.2.99"), "there are no rules"
    assert table(cell) == ""
    left = "ls /etc/nano-cloud/firewall* /etc/systemd/system/nano-cloud-firewall* || true"
    assert cell.run(["sh", "-c", left]).stdout == ""
