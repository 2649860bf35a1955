# SPDX-License-Identifier: BSD-2-Clause
"""Whose password in a guest is set, beside the argument spec that it is read from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional

from . import names
from .constants import DEFAULT_LOCK_TIMEOUT_SECONDS
from .errors import InvalidInput

AUTH_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "id": {"type": "str"},
    "name": {"type": "str"},
    "user": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "encrypted": {"type": "bool", "default": False},
    "timeout_seconds": {"type": "int", "default": 10},
    "lock_timeout_seconds": {"type": "int", "default": DEFAULT_LOCK_TIMEOUT_SECONDS},
}

_LONGEST_PASSWORD = 512
# What chpasswd and Windows take; a colon or a line's end would end the name early.
_USER = re.compile(r"[^:/\\\[\]|<>+=;,?*@\"\s][^:/\\\[\]|<>+=;,?*@\"\n]{0,63}")


@dataclass(frozen=True)
class AuthRequest:
    """The checked options of the module ``guest_auth``."""

    id: Optional[str]
    name: Optional[str]
    user: str
    password: str = field(repr=False)
    encrypted: bool = False
    timeout_seconds: int = 10


def auth_request(params: Mapping[str, Any]) -> AuthRequest:
    """Checked request from the parameters that passed ``AUTH_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option, never the password.
    """
    name, guest_id = params.get("name"), params.get("id")
    if name is None and guest_id is None:
        raise InvalidInput("name or id is required", field="name")
    if params["timeout_seconds"] < 0:
        raise InvalidInput("timeout_seconds must not be negative", field="timeout_seconds")
    return AuthRequest(
        id=None if guest_id is None else names.check_guest_id(guest_id),
        name=None if name is None else names.check_guest_name(name),
        user=check_user(params["user"]),
        password=check_password(params["password"]),
        encrypted=bool(params["encrypted"]),
        timeout_seconds=params["timeout_seconds"],
    )


def check_user(user: str) -> str:
    """The name of a user inside a guest, whatever its system.

    :raises InvalidInput: no system has such a name.
    """
    names.check_text(user, "user", limit=64)
    if not _USER.fullmatch(user):
        raise InvalidInput(f"user {user!r} is not a user's name", field="user")
    return user


def check_password(password: str) -> str:
    """A password; what it must be beyond that is for the guest's own rules.

    :raises InvalidInput: it is empty, too long, or has control characters in it.
    """
    if not password:
        raise InvalidInput("password must not be empty", field="password")
    return names.check_text(password, "password", limit=_LONGEST_PASSWORD)
