# SPDX-License-Identifier: BSD-2-Clause
"""Where a cell's image is sent, beside the argument spec that it is read from."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional

from . import constants, names
from .errors import InvalidInput
from .image_spec import ImageRequest

UPLOAD_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "id": {"type": "str", "required": True},
    "url": {"type": "str", "required": True},
    "bearer_token": {"type": "str", "required": True, "no_log": True},
    "ca_certificate": {"type": "str"},
    "format": {"type": "str", "choices": list(constants.IMAGE_FORMATS), "default": "qcow2"},
    "pool": {"type": "str", "default": constants.DEFAULT_IMAGE_POOL},
    "wait_seconds": {"type": "int", "default": 0},
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}


@dataclass(frozen=True)
class UploadRequest:
    """The checked options of the module ``image_upload``."""

    image: ImageRequest
    url: str
    bearer_token: str = field(repr=False)
    ca_certificate: Optional[str] = None
    wait_seconds: int = 0


def upload_request(params: Mapping[str, Any]) -> UploadRequest:
    """Checked request from the parameters that passed ``UPLOAD_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    url = names.check_text(params["url"], "url", limit=4096)
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput("url must be http://HOST/… or https://HOST/…", field="url")
    if parts.username or parts.password:
        raise InvalidInput("url must not carry a password: use bearer_token", field="url")
    if params["wait_seconds"] < 0:
        raise InvalidInput("wait_seconds must not be negative", field="wait_seconds")
    image = ImageRequest(
        id=names.check_image_id(params["id"]),
        format=params["format"],
        pool=names.check_pool_name(params["pool"]),
    )
    return UploadRequest(
        image=image,
        url=url,
        bearer_token=names.check_text(params["bearer_token"], "bearer_token", limit=8192),
        ca_certificate=params.get("ca_certificate") or None,
        wait_seconds=params["wait_seconds"],
    )
