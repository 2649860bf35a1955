# SPDX-License-Identifier: BSD-2-Clause
"""A cached image as data, beside the argument spec that it is read from."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from . import constants, names
from .errors import InvalidInput

IMAGE_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "id": {"type": "str", "required": True},
    "url": {"type": "str"},
    "bearer_token": {"type": "str", "no_log": True},
    "ca_certificate": {"type": "str"},
    "checksum": {"type": "str"},
    "format": {"type": "str", "choices": list(constants.IMAGE_FORMATS), "default": "qcow2"},
    "pool": {"type": "str", "default": constants.DEFAULT_IMAGE_POOL},
    "max_virtual_size_bytes": {"type": "int"},
    "wait_seconds": {"type": "int", "default": 0},
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}

_SCHEMES = ("http", "https", "file")


@dataclass(frozen=True)
class ImageRequest:
    """The checked options of the module ``image``.

    ``checksum`` is (algorithm, hex digest); ``wait_seconds`` 0 means until it is done.
    """

    id: str
    format: str
    pool: str
    url: Optional[str] = None
    bearer_token: Optional[str] = None
    ca_certificate: Optional[str] = None
    checksum: Optional[Tuple[str, str]] = None
    max_virtual_size_bytes: Optional[int] = None
    wait_seconds: int = 0

    @property
    def file_name(self) -> str:
        """The image's file, and volume, in its pool."""
        return names.image_file_name(self.id, self.format)

    @property
    def checksum_text(self) -> str:
        """``ALGORITHM:HEX``, ``""`` when none was given."""
        return ":".join(self.checksum) if self.checksum else ""


def image_request(params: Mapping[str, Any]) -> ImageRequest:
    """Checked request from the parameters that passed ``IMAGE_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    limit, wait, checksum = (
        params.get(name) for name in ("max_virtual_size_bytes", "wait_seconds", "checksum")
    )
    if limit is not None and limit < 1:
        raise InvalidInput(
            "max_virtual_size_bytes must be positive", field="max_virtual_size_bytes"
        )
    if wait is not None and wait < 0:
        raise InvalidInput("wait_seconds must not be negative", field="wait_seconds")
    return ImageRequest(
        id=names.check_image_id(params["id"]),
        format=params["format"],
        pool=names.check_pool_name(params["pool"]),
        url=_url(params.get("url")),
        bearer_token=_token(params.get("bearer_token")),
        ca_certificate=params.get("ca_certificate") or None,
        checksum=None if checksum is None else names.check_checksum(checksum),
        max_virtual_size_bytes=limit,
        wait_seconds=wait or 0,
    )


def _url(url: Optional[str]) -> Optional[str]:
    if url is None:
        return None
    names.check_text(url, "url", limit=4096)
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise InvalidInput(
            f"url must start with {', '.join(s + '://' for s in _SCHEMES)}", field="url"
        )
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise InvalidInput("url: a file is on the cell itself: file:///PATH", field="url")
    elif not parts.hostname:
        raise InvalidInput("url names no host", field="url")
    if parts.username or parts.password:
        raise InvalidInput("url must not carry a password: use bearer_token", field="url")
    return url


def _token(token: Optional[str]) -> Optional[str]:
    return None if token is None else names.check_text(token, "bearer_token", limit=8192)
