# SPDX-License-Identifier: BSD-2-Clause
"""What is asked of a guest's power, beside the argument spec that it is read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from . import constants, names
from .errors import InvalidInput

POWER_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "id": {"type": "str"},
    "name": {"type": "str"},
    "state": {"type": "str", "required": True, "choices": list(constants.POWER_STATES)},
    "force": {"type": "bool", "default": False},
    "timeout_seconds": {"type": "int", "default": constants.DEFAULT_STOP_TIMEOUT_SECONDS},
    "force_after_timeout": {"type": "bool", "default": False},
    "boot_image": {"type": "str"},
    "image_pool": {"type": "str", "default": constants.DEFAULT_IMAGE_POOL},
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}

POWER_MODULE_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    **POWER_ARGUMENTS,
    "guests": {
        "type": "list",
        "elements": "dict",
        "options": {"id": {"type": "str"}, "name": {"type": "str"}},
    },
    "at_once": {"type": "int", "default": 4},
}


@dataclass(frozen=True)
class PowerRequest:
    """The checked options of the module ``guest_power``."""

    id: Optional[str]
    name: Optional[str]
    state: str
    force: bool = False
    timeout_seconds: int = constants.DEFAULT_STOP_TIMEOUT_SECONDS
    force_after_timeout: bool = False
    boot_image: Optional[str] = None
    image_pool: str = constants.DEFAULT_IMAGE_POOL


def power_request(params: Mapping[str, Any]) -> PowerRequest:
    """Checked request from the parameters that passed ``POWER_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    name, guest_id = params.get("name"), params.get("id")
    if name is None and guest_id is None:
        raise InvalidInput("name or id is required", field="name")
    boot_image = params.get("boot_image")
    if boot_image and params["state"] != "running":
        raise InvalidInput("boot_image is for state running only", field="boot_image")
    if params["timeout_seconds"] < 0:
        raise InvalidInput("timeout_seconds must not be negative", field="timeout_seconds")
    return PowerRequest(
        id=None if guest_id is None else names.check_guest_id(guest_id),
        name=None if name is None else names.check_guest_name(name),
        state=params["state"],
        force=params["force"],
        timeout_seconds=params["timeout_seconds"],
        force_after_timeout=params["force_after_timeout"],
        boot_image=names.check_image_id(boot_image, "boot_image") if boot_image else None,
        image_pool=names.check_pool_name(params["image_pool"], "image_pool"),
    )
