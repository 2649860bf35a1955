# SPDX-License-Identifier: Apache-2.0
"""Cells come from the Ansible inventory: its group ``cells``, read again when it changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.content import ANSIBLE_CONFIG
from nano_api.errors import InvalidInput

log = structlog.get_logger(__name__)

GROUP = "cells"

#: What the observer needs to connect as Ansible does. Passwords stay in the inventory.
_CONNECTION_VARIABLES = (
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_connection",
    "ansible_ssh_private_key_file",
    "ansible_private_key_file",
    "ansible_ssh_common_args",
    "ansible_python_interpreter",
    "cell_pool_name",
    "cell_pool_path",
    "nano_libvirt_uri",
)
_READ_SECONDS = 60
_WATCH_SECONDS = 3


def read_inventory(path: Path) -> dict[str, dict[str, Any]]:
    """Host name → connection variables of every host of the group ``cells``.

    :raises InvalidInput: Ansible cannot read it; with Ansible's own reason
    """
    command = [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(path), "--list"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ANSIBLE_CONFIG), "ANSIBLE_NOCOLOR": "1"}
    environment["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] = "1"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=_READ_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise InvalidInput(f"inventory '{path}' was not read in {_READ_SECONDS} s") from None
    if done.returncode != 0:
        raise InvalidInput(f"inventory '{path}' cannot be read: {done.stderr.strip()}")
    listing = json.loads(done.stdout)
    variables: Mapping[str, Mapping[str, Any]] = listing.get("_meta", {}).get("hostvars", {})
    return {
        host: {
            name: variables.get(host, {})[name]
            for name in _CONNECTION_VARIABLES
            if name in variables.get(host, {})
        }
        for host in sorted(_hosts_of(listing, GROUP))
    }


def _hosts_of(listing: Mapping[str, Any], group: str) -> set[str]:
    found = listing.get(group, {})
    hosts = set(found.get("hosts", []))
    for child in found.get("children", []):
        hosts |= _hosts_of(listing, child)
    return hosts


def store_cells(session: Session, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Make the table agree with the inventory. A cell that left it keeps its row and guests."""
    rows = {cell.name: cell for cell in session.scalars(select(Cell))}
    for name, variables in found.items():
        address = str(variables.get("ansible_host", name))
        row = rows.pop(name, None)
        if row is None:
            session.add(Cell(name=name, address=address, connection=dict(variables)))
            continue
        row.address, row.connection, row.in_inventory = address, dict(variables), True
    for gone in rows.values():
        if gone.in_inventory:
            log.warning("a cell left the inventory", cell=gone.name)
        gone.in_inventory, gone.alive = False, False


class InventoryWatcher:
    """Reads the inventory at the start and whenever one of its files changes."""

    def __init__(self, cloud: Cloud, path: Path) -> None:
        self._cloud = cloud
        self._path = path
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="inventory", daemon=True)
        self._seen: tuple[tuple[str, int], ...] = ()

    def start(self) -> None:
        """Read it once, now, then watch.

        :raises InvalidInput: it cannot be read
        """
        self._seen = self._stamps()
        self._read()
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopping.set()
        self._thread.join()

    def _read(self) -> None:
        found = read_inventory(self._path)
        with self._cloud.database.transaction() as session:
            store_cells(session, found)

    def _watch(self) -> None:
        while not self._stopping.wait(_WATCH_SECONDS):
            stamps = self._stamps()
            if stamps == self._seen:
                continue
            self._seen = stamps
            try:
                self._read()
            except InvalidInput as error:
                # The old cells stay; a half-written file is read again when it is complete.
                log.error("the inventory was not read", reason=error.message)

    def _stamps(self) -> tuple[tuple[str, int], ...]:
        files = [self._path]
        if self._path.is_dir():
            files += sorted(p for p in self._path.rglob("*") if p.is_file())
        else:
            for folder in ("host_vars", "group_vars"):
                files += sorted(p for p in (self._path.parent / folder).rglob("*") if p.is_file())
        return tuple((str(p), p.stat().st_mtime_ns) for p in files if p.exists())
