# SPDX-License-Identifier: BSD-2-Clause
"""What is asked of a guest's CD drive, beside the argument spec that it is read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from . import constants, names
from .errors import InvalidInput

MEDIA_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "state": {"type": "str", "choices": ["inserted", "ejected"], "default": "inserted"},
    "id": {"type": "str"},
    "name": {"type": "str"},
    "image": {"type": "str"},
    "image_pool": {"type": "str", "default": constants.DEFAULT_IMAGE_POOL},
    "replace": {"type": "bool", "default": False},
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}


@dataclass(frozen=True)
class MediaRequest:
    """The checked options of the module ``guest_media``; ``image`` None: nothing in the drive."""

    id: Optional[str]
    name: Optional[str]
    image: Optional[str]
    image_pool: str = constants.DEFAULT_IMAGE_POOL
    replace: bool = False


def media_request(params: Mapping[str, Any]) -> MediaRequest:
    """Checked request from the parameters that passed ``MEDIA_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    name, guest_id, image = params.get("name"), params.get("id"), params.get("image")
    if name is None and guest_id is None:
        raise InvalidInput("name or id is required", field="name")
    if params["state"] == "inserted" and not image:
        raise InvalidInput("image is required to insert one", field="image")
    return MediaRequest(
        id=None if guest_id is None else names.check_guest_id(guest_id),
        name=None if name is None else names.check_guest_name(name),
        image=names.check_image_id(str(image), "image") if params["state"] == "inserted" else None,
        image_pool=names.check_pool_name(params["image_pool"], "image_pool"),
        replace=params["replace"],
    )
