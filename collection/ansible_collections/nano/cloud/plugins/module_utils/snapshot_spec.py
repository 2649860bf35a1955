# SPDX-License-Identifier: BSD-2-Clause
"""What is asked of a guest's snapshot, beside the argument spec that it is read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from . import constants, names
from .errors import InvalidInput

SNAPSHOT_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "id": {"type": "str"},
    "name": {"type": "str"},
    "snapshot": {"type": "str", "required": True},
    "state": {
        "type": "str",
        "choices": list(constants.SNAPSHOT_STATES),
        "default": "present",
    },
    "description": {"type": "str"},
    "memory": {"type": "bool"},
    "force": {"type": "bool", "default": False},
    "wait_seconds": {"type": "int", "default": 0},
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}


@dataclass(frozen=True)
class SnapshotRequest:
    """The checked options of the module ``snapshot``; None means "not said".

    ``wait_seconds`` 0 means until it is done.
    """

    id: Optional[str]
    name: Optional[str]
    snapshot: str
    state: str = "present"
    description: Optional[str] = None
    memory: Optional[bool] = None
    force: bool = False
    wait_seconds: int = 0


def snapshot_request(params: Mapping[str, Any]) -> SnapshotRequest:
    """Checked request from the parameters that passed ``SNAPSHOT_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    name, guest_id, text = params.get("name"), params.get("id"), params.get("description")
    if name is None and guest_id is None:
        raise InvalidInput("name or id is required", field="name")
    if params["wait_seconds"] < 0:
        raise InvalidInput("wait_seconds must not be negative", field="wait_seconds")
    return SnapshotRequest(
        id=None if guest_id is None else names.check_guest_id(guest_id),
        name=None if name is None else names.check_guest_name(name),
        snapshot=names.check_snapshot_name(params["snapshot"]),
        state=params["state"],
        description=None if text is None else names.check_text(text, "description", limit=1024),
        memory=params["memory"],
        force=params["force"],
        wait_seconds=params["wait_seconds"],
    )
