# SPDX-License-Identifier: Apache-2.0
"""Names on the wire. The rules are Nano's; each message names the field."""

from __future__ import annotations

import re

from nano_api.errors import InvalidInput

_OBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_GUEST_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_object_name(name: str, field: str) -> str:
    """A pool's or an image's name: letters, digits, ``-``, ``_`` and ``.``."""
    if not _OBJECT_NAME.fullmatch(name):
        raise InvalidInput(
            f"invalid {field} '{name[:140]}': only letters, digits, '-', '_' and '.' (at most 128)",
            field=field,
        )
    return name


def check_guest_word(word: str, field: str) -> str:
    """A guest's name, owner or group: no dot, since the full name is ``group.name``."""
    if not word:
        raise InvalidInput(f"{field} required", field=field)
    if not _GUEST_WORD.fullmatch(word):
        raise InvalidInput(
            f"invalid {field} '{word[:80]}': only letters, digits, '-' and '_' (at most 64)",
            field=field,
        )
    return word
