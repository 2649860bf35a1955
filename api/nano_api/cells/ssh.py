# SPDX-License-Identifier: Apache-2.0
"""ssh to a cell, as the inventory has it: for libvirt's connections and for consoles."""

from __future__ import annotations

import getpass
import hashlib
import shlex
import sys
from pathlib import Path
from typing import Any

from nano_api.cells.tables import Cell


def is_local(cell: Cell) -> bool:
    """Whether the cell is this host itself."""
    return bool(cell.connection.get("ansible_connection") == "local")


def user_of(cell: Cell) -> str:
    """Whom Ansible logs in as."""
    return str(cell.connection.get("ansible_user", getpass.getuser()))


def port_of(cell: Cell) -> int | None:
    """The port of the cell's ssh server, when it is not the usual one."""
    port = cell.connection.get("ansible_port")
    return int(port) if port is not None else None


def ssh_words(cell: Cell) -> list[str]:
    """ssh with every option of the inventory, without the target."""
    variables: dict[str, Any] = cell.connection
    key = variables.get("ansible_ssh_private_key_file") or variables.get("ansible_private_key_file")
    words = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
    words += ["-o", "ServerAliveInterval=3", "-o", "ServerAliveCountMax=3"]
    if key:
        words += ["-i", str(Path(str(key)).expanduser())]
    return words + shlex.split(str(variables.get("ansible_ssh_common_args", "")))


def tunnel_words(cell: Cell, port: int) -> list[str]:
    """The command whose standard input and output are a TCP port on the cell's loopback."""
    return [*_to(cell), "-W", f"127.0.0.1:{port}", f"{user_of(cell)}@{cell.address}"]


def command_words(cell: Cell, *command: str) -> list[str]:
    """The command that runs ``command`` on the cell as root, as playbooks do with ``become``."""
    if is_local(cell):
        return [*_sudo(getpass.getuser()), *command]
    words = [*_sudo(user_of(cell)), *command]
    return [*_to(cell), "-T", f"{user_of(cell)}@{cell.address}", shlex.join(words)]


def python_of(cell: Cell) -> str:
    """The Python that modules run with on the cell: it has libvirt's binding."""
    if is_local(cell):
        return sys.executable
    named = str(cell.connection.get("ansible_python_interpreter", ""))
    return named if named.startswith("/") else "/usr/bin/python3"


def _to(cell: Cell) -> list[str]:
    words = ssh_words(cell)
    ssh_port = port_of(cell)
    return words if ssh_port is None else [*words, "-p", str(ssh_port)]


def _sudo(user: str) -> list[str]:
    return [] if user == "root" else ["sudo", "-n"]


def ssh_script(cell: Cell, folder: Path, purpose: str) -> Path:
    """A command in ``folder`` that is ssh with the cell's options; made when it differs.

    Each time that it is run it leaves its process's number in ``pid_file_of`` itself.
    """
    name = hashlib.sha256(cell.name.encode()).hexdigest()[:12]
    path = folder / f"ssh-{purpose}-{name}"
    note = f"echo $$ > {shlex.quote(str(pid_file_of(path)))}"
    script = f'#!/bin/sh\n{note}\nexec {shlex.join(ssh_words(cell))} "$@"\n'
    if not path.exists() or path.read_text() != script:
        draft = path.with_suffix(".new")
        draft.write_text(script)
        draft.chmod(0o700)
        draft.replace(path)
    return path


def pid_file_of(script: Path) -> Path:
    """Where a script of ``ssh_script`` leaves its process's number."""
    return script.with_suffix(".pid")
