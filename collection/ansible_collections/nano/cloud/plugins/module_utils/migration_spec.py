# SPDX-License-Identifier: BSD-2-Clause
"""What is asked of a migration, beside the argument spec that it is read from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from . import constants, names
from .errors import InvalidInput

MIGRATION_MODES = ("auto", "shared", "copy", "cold")

MIGRATE_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "state": {"type": "str", "choices": ["migrated", "canceled"], "default": "migrated"},
    "id": {"type": "str"},
    "name": {"type": "str"},
    "target": {"type": "str", "required": True},
    "target_uri": {"type": "str"},
    "mode": {"type": "str", "choices": list(MIGRATION_MODES), "default": "auto"},
    "display_port": {"type": "int"},
    "bandwidth_bytes_sec": {"type": "int", "default": 0},
    "wait_seconds": {"type": "int", "default": 0},
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}

# A name or an address, as ssh and libvirt's URIs take it; never an option of ssh.
_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}|[0-9a-fA-F:]{2,45}")


@dataclass(frozen=True)
class MigrateRequest:
    """The checked options of the module ``guest_migrate``.

    ``wait_seconds`` 0: until the end. ``bandwidth_bytes_sec`` 0: as fast as it goes.
    """

    id: Optional[str]
    name: Optional[str]
    target: str
    target_uri: str
    mode: str = "auto"
    display_port: Optional[int] = None
    bandwidth_bytes_sec: int = 0
    wait_seconds: float = 0
    lock_timeout_seconds: float = constants.DEFAULT_LOCK_TIMEOUT_SECONDS

    @property
    def migration_uri(self) -> str:
        """Where the source's QEMU sends memory and disks to."""
        return f"tcp://{_bracketed(self.target)}"


def migrate_request(params: Mapping[str, Any]) -> MigrateRequest:
    """Checked request from the parameters that passed ``MIGRATE_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    name, guest_id, target = params.get("name"), params.get("id"), params["target"]
    if name is None and guest_id is None:
        raise InvalidInput("name or id is required", field="name")
    if not _TARGET.fullmatch(target):
        raise InvalidInput(
            f"target {target[:80]!r} is no name or address of a host", field="target"
        )
    port = params.get("display_port")
    if port is not None and not constants.MIN_DISPLAY_PORT <= port <= constants.MAX_DISPLAY_PORT:
        raise InvalidInput(
            f"display_port {port} is not in {constants.MIN_DISPLAY_PORT}.."
            f"{constants.MAX_DISPLAY_PORT}",
            field="display_port",
        )
    for field in ("bandwidth_bytes_sec", "wait_seconds"):
        if params[field] < 0:
            raise InvalidInput(f"{field} must not be negative", field=field)
    return MigrateRequest(
        id=None if guest_id is None else names.check_guest_id(guest_id),
        name=None if name is None else names.check_guest_name(name),
        target=target,
        target_uri=params.get("target_uri") or f"qemu+ssh://root@{_bracketed(target)}/system",
        mode=params["mode"],
        display_port=port,
        bandwidth_bytes_sec=params["bandwidth_bytes_sec"],
        wait_seconds=params["wait_seconds"],
        lock_timeout_seconds=params["lock_timeout_seconds"],
    )


def _bracketed(target: str) -> str:
    return f"[{target}]" if ":" in target else target
