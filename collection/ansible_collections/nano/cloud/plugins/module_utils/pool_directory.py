# SPDX-License-Identifier: BSD-2-Clause
"""Owner and mode of a pool's directory, as file systems have them."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from typing import Any, Dict

from .errors import CloudError, InvalidInput
from .pool_spec import PoolRequest


def wanted_ownership(request: PoolRequest) -> Dict[str, Any]:
    """``mode``, ``owner``, ``group`` of those that are asked for.

    :raises InvalidInput: no such user or group on this host.
    """
    found: Dict[str, Any] = {}
    if request.mode is not None:
        found["mode"] = f"{request.mode:04o}"
    for field, text, look in (
        ("owner", request.owner, _user_id),
        ("group", request.group, _group_id),
    ):
        if text is not None:
            found[field] = look(text, field)
    return found


def ownership(path: str) -> Dict[str, Any]:
    """``mode``, ``owner`` and ``group`` (numbers) of a directory; empty when there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return {}
    mode = f"{stat.S_IMODE(found.st_mode):04o}"
    return {"mode": mode, "owner": found.st_uid, "group": found.st_gid}


def set_ownership(path: str, wanted: Dict[str, Any]) -> None:
    """:raises CloudError: the file system, or the server behind it, refuses"""
    try:
        if "owner" in wanted or "group" in wanted:
            os.chown(path, wanted.get("owner", -1), wanted.get("group", -1))
        if "mode" in wanted:
            os.chmod(path, int(wanted["mode"], 8))
    except OSError as error:
        raise CloudError(
            f"owner or mode of {path} cannot be changed: {error.strerror}; an NFS server must "
            "export with no_root_squash",
            path=path,
        ) from error


def _user_id(text: str, field: str) -> int:
    if text.isdigit():
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        raise InvalidInput(f"{field} {text[:80]!r}: no such user here", field=field) from None


def _group_id(text: str, field: str) -> int:
    if text.isdigit():
        return int(text)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        raise InvalidInput(f"{field} {text[:80]!r}: no such group here", field=field) from None
