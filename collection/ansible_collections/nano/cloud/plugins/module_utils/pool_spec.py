# SPDX-License-Identifier: BSD-2-Clause
"""A storage pool as data, beside the argument spec that it is read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from . import constants, names

POOL_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "choices": list(constants.POOL_TYPES), "default": "dir"},
    "path": {"type": "path"},
    "autostart": {"type": "bool", "default": True},
    "active": {"type": "bool", "default": True},
    "force": {"type": "bool", "default": False},
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}


@dataclass(frozen=True)
class PoolSpec:
    """A storage pool's definition."""

    name: str
    type: str
    path: str


@dataclass(frozen=True)
class PoolRequest:
    """The checked options of the module ``storage_pool``."""

    name: str
    type: str
    path: Optional[str]
    autostart: bool
    active: bool


def pool_request(params: Mapping[str, Any]) -> PoolRequest:
    """Checked request from the parameters that passed ``POOL_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    path = params.get("path")
    return PoolRequest(
        name=names.check_pool_name(params["name"], "name"),
        type=params["type"],
        path=None if path is None else names.check_absolute_path(path),
        autostart=params["autostart"],
        active=params["active"],
    )
