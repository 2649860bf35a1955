# SPDX-License-Identifier: BSD-2-Clause
"""Which guest's disk becomes an image, beside the argument spec that it is read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from . import constants, names
from .errors import InvalidInput
from .image_spec import ImageRequest

CAPTURE_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "id": {"type": "str", "required": True},
    "guest_id": {"type": "str"},
    "guest_name": {"type": "str"},
    "disk": {"type": "int", "default": 0},
    "snapshot": {"type": "str"},
    "format": {"type": "str", "choices": ["qcow2", "raw"], "default": "qcow2"},
    "compress": {"type": "bool", "default": False},
    "pool": {"type": "str", "default": constants.DEFAULT_IMAGE_POOL},
    "wait_seconds": {"type": "int", "default": 0},
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}


@dataclass(frozen=True)
class CaptureRequest:
    """The checked options of the module ``image_capture``; ``disk`` is the disk's number."""

    image: ImageRequest
    guest_id: Optional[str]
    guest_name: Optional[str]
    disk: int = 0
    snapshot: Optional[str] = None
    compress: bool = False
    wait_seconds: int = 0


def capture_request(params: Mapping[str, Any]) -> CaptureRequest:
    """Checked request from the parameters that passed ``CAPTURE_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    guest_id, guest_name = params.get("guest_id"), params.get("guest_name")
    disk, snapshot = params["disk"], params.get("snapshot")
    if guest_id is None and guest_name is None:
        raise InvalidInput("guest_id or guest_name is required", field="guest_id")
    if not 0 <= disk < constants.MAX_DISKS:
        raise InvalidInput(f"disk {disk} is not in 0..{constants.MAX_DISKS - 1}", field="disk")
    if params["compress"] and params["format"] != "qcow2":
        raise InvalidInput("compress is for format qcow2 only", field="compress")
    if params["wait_seconds"] < 0:
        raise InvalidInput("wait_seconds must not be negative", field="wait_seconds")
    image = ImageRequest(
        id=names.check_image_id(params["id"]),
        format=params["format"],
        pool=names.check_pool_name(params["pool"]),
    )
    return CaptureRequest(
        image=image,
        guest_id=None if guest_id is None else names.check_guest_id(guest_id, "guest_id"),
        guest_name=None if guest_name is None else names.check_guest_name(guest_name, "guest_name"),
        disk=disk,
        snapshot=None if snapshot is None else names.check_snapshot_name(snapshot),
        compress=bool(params["compress"]),
        wait_seconds=params["wait_seconds"],
    )
