# SPDX-License-Identifier: Apache-2.0
"""Rules for the words of accounts: names of users, groups and roles, menus, display texts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nano_api.errors import InvalidInput

from ansible_collections.nano.cloud.plugins.module_utils.names import check_text  # isort: skip

#: The areas of Nano's portal, in its own order: what an administrator's role holds.
PORTAL_MENUS = (
    "dashboard",
    "compute_pool",
    "address_pool",
    "storage_pool",
    "instance",
    "image",
    "media",
    "templates",
    "policies",
    "user",
    "log",
    "visibility",
)

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NAME_RULE = "use 1 to 64 letters, digits, '-', '_' and '.'"
_MAX_DISPLAY_LENGTH = 256


def check_account_name(name: str, field: str) -> str:
    """A user's, group's or role's name; ``field`` is how the message calls it.

    :raises InvalidInput: it is missing or breaks the rule
    """
    if not name:
        raise InvalidInput(f"{field} required", field=field)
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"invalid {field} '{name[:80]}': {_NAME_RULE}", field=field)
    return name


def check_menu(menu: Sequence[str]) -> list[str]:
    """The menus of a role: at least one, each once. Other portals may have menus of their own.

    :raises InvalidInput: none is given, or one is no name
    """
    if not menu:
        raise InvalidInput("menu required: name at least one", field="menu")
    return [check_account_name(entry, "menu") for entry in dict.fromkeys(menu)]


def check_display(text: str, field: str = "display") -> str:
    """A line of text for people, any script.

    :raises InvalidInput: it is too long or has control characters
    """
    return check_text(text, field, limit=_MAX_DISPLAY_LENGTH)
