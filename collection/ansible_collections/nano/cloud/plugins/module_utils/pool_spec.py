# SPDX-License-Identifier: BSD-2-Clause
"""A storage pool as data, beside the argument spec that it is read from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from . import constants, names
from .errors import InvalidInput

POOL_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "choices": list(constants.POOL_TYPES)},
    "path": {"type": "path"},
    "host": {"type": "str"},
    "source": {"type": "str"},
    "mount_options": {"type": "list", "elements": "str"},
    "monitors": {"type": "list", "elements": "str"},
    "ceph_user": {"type": "str"},
    "secret_uuid": {"type": "str"},
    "mode": {"type": "raw"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "autostart": {"type": "bool", "default": True},
    "active": {"type": "bool", "default": True},
    "force": {"type": "bool", "default": False},
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}

# What a server exports and this host mounts; any cell that mounts the same sees the same.
NETWORK_TYPES = ("nfs", "glusterfs")
# Which options make sense for which type; those that it needs to be made first.
_NEEDED: Dict[str, Tuple[str, ...]] = {
    "dir": ("path",),
    "nfs": ("host", "source"),
    "glusterfs": ("host", "source"),
    "logical": ("source",),
    "rbd": ("source", "monitors"),
}
_ALLOWED: Dict[str, Tuple[str, ...]] = {
    "dir": ("path", "mode", "owner", "group"),
    "nfs": ("path", "host", "source", "mount_options", "mode", "owner", "group"),
    "glusterfs": ("path", "host", "source", "mount_options", "mode", "owner", "group"),
    "logical": ("source",),
    "rbd": ("source", "monitors", "ceph_user", "secret_uuid"),
}
_OPTIONAL_ARGUMENTS = sorted({name for allowed in _ALLOWED.values() for name in allowed})

# A name or an address, as mount and libvirt take it; never an option of a command.
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}|[0-9a-fA-F:]{2,45}")
_MONITOR = re.compile(r"(?P<host>[A-Za-z0-9][A-Za-z0-9._-]{0,252}|\[[0-9a-fA-F:]+\])(:\d{1,5})?")
_SOURCE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")
_MOUNT_OPTION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@%+=-]{0,255}")
_MODE = re.compile(r"0?[0-7]{3,4}")


@dataclass(frozen=True)
class PoolSpec:
    """A storage pool's definition. What a type does not have is empty.

    ``source``: the exported path, the GlusterFS volume, the LVM volume group or the Ceph pool.
    """

    name: str
    type: str
    path: str
    host: str = ""
    source: str = ""
    mount_options: Tuple[str, ...] = ()
    monitors: Tuple[str, ...] = ()
    ceph_user: str = ""
    secret_uuid: str = ""


@dataclass(frozen=True)
class PoolRequest:
    """The checked options of the module ``storage_pool``; None: as it is, or the default."""

    name: str
    type: Optional[str]
    path: Optional[str]
    autostart: bool
    active: bool
    host: Optional[str] = None
    source: Optional[str] = None
    mount_options: Optional[Tuple[str, ...]] = None
    monitors: Optional[Tuple[str, ...]] = None
    ceph_user: Optional[str] = None
    secret_uuid: Optional[str] = None
    mode: Optional[int] = None
    owner: Optional[str] = None
    group: Optional[str] = None


def pool_request(params: Mapping[str, Any]) -> PoolRequest:
    """Checked request from the parameters that passed ``POOL_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    kind = params.get("type")
    given = {name: params.get(name) for name in _OPTIONAL_ARGUMENTS if params.get(name) is not None}
    for field in given:
        if kind is not None and field not in _ALLOWED[kind]:
            raise InvalidInput(f"{field} is not an option of a pool of type {kind}", field=field)
    return PoolRequest(
        name=names.check_pool_name(params["name"], "name"),
        type=kind,
        autostart=params["autostart"],
        active=params["active"],
        path=_checked(given, "path", names.check_absolute_path),
        host=_checked(given, "host", _check_host),
        source=_checked(given, "source", lambda text: _check_source(kind, text)),
        mount_options=_checked(given, "mount_options", _check_mount_options),
        monitors=_checked(given, "monitors", _check_monitors),
        ceph_user=_checked(given, "ceph_user", lambda text: _matching("ceph_user", text)),
        secret_uuid=_checked(
            given, "secret_uuid", lambda text: names.check_guest_id(text, "secret_uuid")
        ),
        mode=_checked(given, "mode", _check_mode),
        owner=given.get("owner"),
        group=given.get("group"),
    )


def new_spec(request: PoolRequest) -> PoolSpec:
    """The definition of a pool that is not there yet.

    :raises InvalidInput: something is missing that its type needs; names the option.
    """
    kind = request.type or "dir"
    for field in _NEEDED[kind]:
        if not getattr(request, field):
            raise InvalidInput(f"{field} is required to create a pool of type {kind}", field=field)
    default_path = f"{constants.MOUNT_DIRECTORY}/{request.name}" if kind in NETWORK_TYPES else ""
    if kind == "logical":
        default_path = f"/dev/{request.source}"
    return PoolSpec(
        name=request.name,
        type=kind,
        path=request.path or default_path,
        host=request.host or "",
        source=request.source or "",
        mount_options=request.mount_options or (),
        monitors=request.monitors or (),
        ceph_user=request.ceph_user or "",
        secret_uuid=request.secret_uuid or "",
    )


def _checked(given: Mapping[str, Any], field: str, check: Any) -> Any:
    return check(given[field]) if field in given else None


def _check_host(host: str) -> str:
    if not _HOST.fullmatch(host):
        raise InvalidInput(f"host {host[:80]!r} is no name or address of a host", field="host")
    return host


def _check_source(kind: Optional[str], source: str) -> str:
    if kind == "nfs":
        return names.check_absolute_path(source, "source")
    if kind == "glusterfs":
        source = source.lstrip("/")
    return source if kind is None else _matching("source", source)


def _matching(field: str, text: str) -> str:
    if not _SOURCE_NAME.fullmatch(text):
        raise InvalidInput(
            f"{field} {text[:80]!r} is no name: letters, digits, '_', '.', '+', '-'", field=field
        )
    return text


def _check_mount_options(options: Any) -> Tuple[str, ...]:
    for option in options:
        if not _MOUNT_OPTION.fullmatch(option):
            raise InvalidInput(
                f"mount_options has {option[:80]!r}: one option an entry, such as nfsvers=4.2",
                field="mount_options",
            )
    return tuple(options)


def _check_monitors(monitors: Any) -> Tuple[str, ...]:
    for monitor in monitors:
        if not _MONITOR.fullmatch(monitor):
            raise InvalidInput(
                f"monitors has {monitor[:80]!r}: use HOST or HOST:PORT", field="monitors"
            )
    return tuple(monitors)


def _check_mode(mode: Any) -> int:
    if isinstance(mode, int) and 0 <= mode <= 0o7777:
        return mode  # YAML itself reads an unquoted 0711 as an octal number.
    if not _MODE.fullmatch(str(mode)):
        raise InvalidInput(f"mode {str(mode)[:20]!r} is not octal, such as '0711'", field="mode")
    return int(str(mode), 8)
