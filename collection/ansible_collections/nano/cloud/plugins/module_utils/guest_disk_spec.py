# SPDX-License-Identifier: BSD-2-Clause
"""What is asked of one disk of a guest, beside the argument spec that it is read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from . import constants, names
from .errors import InvalidInput

PRESENT, ABSENT, COMPACTED, RESET = constants.DISK_STATES

DISK_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "id": {"type": "str"},
    "name": {"type": "str"},
    "disk": {"type": "int", "required": True},
    "state": {"type": "str", "choices": list(constants.DISK_STATES), "default": PRESENT},
    "size_bytes": {"type": "int"},
    "image": {"type": "str"},
    "image_pool": {"type": "str", "default": constants.DEFAULT_IMAGE_POOL},
    "full_copy": {"type": "bool", "default": False},
    "delete_volume": {"type": "bool", "default": False},
    "timeout_seconds": {"type": "int", "default": 30},
    "wait_seconds": {"type": "int", "default": 0},
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}


@dataclass(frozen=True)
class DiskStateRequest:
    """The checked options of the module ``guest_disk``.

    ``disk`` is the disk's number, ``timeout_seconds`` how long the guest may take to let go of it,
    ``wait_seconds`` 0 means until it is done.
    """

    id: Optional[str]
    name: Optional[str]
    disk: int
    state: str = PRESENT
    size_bytes: Optional[int] = None
    image: Optional[str] = None
    image_pool: str = constants.DEFAULT_IMAGE_POOL
    full_copy: bool = False
    delete_volume: bool = False
    timeout_seconds: int = 30
    wait_seconds: int = 0


def disk_request(params: Mapping[str, Any]) -> DiskStateRequest:
    """Checked request from the parameters that passed ``DISK_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    name, guest_id, image = params.get("name"), params.get("id"), params.get("image")
    disk, state, size = params["disk"], params["state"], params.get("size_bytes")
    if name is None and guest_id is None:
        raise InvalidInput("name or id is required", field="name")
    if not 0 <= disk < constants.MAX_DISKS:
        raise InvalidInput(f"disk {disk} is not in 0..{constants.MAX_DISKS - 1}", field="disk")
    for field in ("wait_seconds", "timeout_seconds"):
        if params[field] < 0:
            raise InvalidInput(f"{field} must not be negative", field=field)
    if state == ABSENT and disk == 0:
        raise InvalidInput(
            "disk 0 is the system disk, which is not detached: remove the guest, or reset the disk",
            field="disk",
        )
    if state == RESET and disk != 0:
        raise InvalidInput("only disk 0, the system disk, is reset from an image", field="disk")
    if state == RESET and not image:
        raise InvalidInput("image is required to reset the system disk", field="image")
    if state != RESET and image:
        raise InvalidInput("image is for state reset only", field="image")
    return DiskStateRequest(
        id=None if guest_id is None else names.check_guest_id(guest_id),
        name=None if name is None else names.check_guest_name(name),
        disk=disk,
        state=state,
        size_bytes=None if size is None else _size(size),
        image=names.check_image_id(image, "image") if image else None,
        image_pool=names.check_pool_name(params["image_pool"], "image_pool"),
        full_copy=bool(params["full_copy"]),
        delete_volume=bool(params["delete_volume"]),
        timeout_seconds=params["timeout_seconds"],
        wait_seconds=params["wait_seconds"],
    )


def _size(size: int) -> int:
    """Whole sectors, rounded up, as ``guest`` does."""
    if not constants.MIN_DISK_BYTES <= size <= constants.MAX_DISK_BYTES:
        raise InvalidInput(
            f"size_bytes {size} is not in {constants.MIN_DISK_BYTES}..{constants.MAX_DISK_BYTES}",
            field="size_bytes",
        )
    sectors = -(-size // constants.DISK_SECTOR_BYTES)
    return sectors * constants.DISK_SECTOR_BYTES
