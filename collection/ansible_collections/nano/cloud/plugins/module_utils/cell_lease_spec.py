# SPDX-License-Identifier: BSD-2-Clause
"""What is asked about a cell's lease, beside the argument spec that it is read from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from . import constants, names
from .errors import InvalidInput

LEASE_STATES = ("granted", "revoked", "released")
MIN_LEASE_SECONDS, MAX_LEASE_SECONDS = 6, 600

LEASE_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "state": {"type": "str", "choices": list(LEASE_STATES), "default": "granted"},
    "cell": {"type": "str", "required": True},
    "pool": {"type": "str", "required": True},
    "lease_seconds": {"type": "int", "default": 15},
    "fenced": {"type": "bool", "default": False},
    "wait_seconds": {"type": "int", "default": 60},
}

_CELL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class LeaseRequest:
    """The checked options of the module ``cell_lease``. ``fenced``: the cell is certainly off."""

    state: str
    cell: str
    pool: str
    lease_seconds: int = 15
    fenced: bool = False
    wait_seconds: float = 60


def lease_request(params: Mapping[str, Any]) -> LeaseRequest:
    """Checked request from the parameters that passed ``LEASE_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    seconds = params["lease_seconds"]
    if not MIN_LEASE_SECONDS <= seconds <= MAX_LEASE_SECONDS:
        raise InvalidInput(
            f"lease_seconds {seconds} is not in {MIN_LEASE_SECONDS}..{MAX_LEASE_SECONDS}",
            field="lease_seconds",
        )
    if params["wait_seconds"] < 0:
        raise InvalidInput("wait_seconds must not be negative", field="wait_seconds")
    return LeaseRequest(
        state=params["state"],
        cell=check_cell(params["cell"], "cell"),
        pool=names.check_pool_name(params["pool"]),
        lease_seconds=seconds,
        fenced=params["fenced"],
        wait_seconds=params["wait_seconds"],
    )


def check_cell(name: str, field: str) -> str:
    """A cell's name in the inventory; it becomes a file's name.

    :raises InvalidInput: it cannot be one
    """
    if not _CELL.fullmatch(name):
        raise InvalidInput(f"{field} {name[:80]!r} is no name of a cell", field=field)
    return name


TAKEOVER_STATES = ("taken", "left")

TAKEOVER_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "state": {"type": "str", "choices": list(TAKEOVER_STATES), "default": "taken"},
    "cell": {"type": "str"},
    "pool": {"type": "str", "required": True},
    "guests": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "id": {"type": "str", "required": True},
            "display_port": {"type": "int"},
            "auto_start": {"type": "bool", "default": False},
        },
    },
    "at_once": {"type": "int", "default": 4},
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}


@dataclass(frozen=True)
class TakeoverRequest:
    """One guest that is to come here from the cell that had it."""

    id: str
    cell: str
    pool: str
    display_port: Optional[int]
    auto_start: bool


def takeover_request(params: Mapping[str, Any], entry: Mapping[str, Any]) -> TakeoverRequest:
    """Checked request for one entry of ``guests``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    port = entry.get("display_port")
    if port is not None and not constants.MIN_DISPLAY_PORT <= port <= constants.MAX_DISPLAY_PORT:
        raise InvalidInput(
            f"display_port {port} is not in {constants.MIN_DISPLAY_PORT}.."
            f"{constants.MAX_DISPLAY_PORT}",
            field="display_port",
        )
    if params["state"] == "taken" and not params["cell"]:
        raise InvalidInput("cell is required: the one that had the guests", field="cell")
    return TakeoverRequest(
        id=names.check_guest_id(entry["id"]),
        cell=check_cell(params["cell"], "cell") if params["cell"] else "",
        pool=names.check_pool_name(params["pool"]),
        display_port=port,
        auto_start=bool(entry.get("auto_start", False)),
    )
