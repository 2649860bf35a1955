# SPDX-License-Identifier: BSD-2-Clause
"""What cloud-init is to do in a guest, beside the argument spec that it is read from."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from . import names
from .errors import InvalidInput

CLOUD_INIT_ARGUMENTS: Dict[str, Any] = {
    "type": "dict",
    "options": {
        "enabled": {"type": "bool", "default": True},
        "hostname": {"type": "str"},
        "instance_id": {"type": "str"},
        "users": {
            "type": "list",
            "elements": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "password": {"type": "str", "no_log": True},
                "password_hash": {"type": "str", "no_log": True},
                "ssh_keys": {"type": "list", "elements": "str", "no_log": False},
                "groups": {"type": "list", "elements": "str"},
                "sudo": {"type": "bool", "default": False},
                "shell": {"type": "str"},
            },
        },
        "root_enabled": {"type": "bool", "default": False},
        "ssh_pwauth": {"type": "bool"},
        "network": {
            "type": "dict",
            "options": {
                "addresses": {"type": "list", "elements": "str"},
                "gateways": {"type": "list", "elements": "str"},
                "dns": {"type": "list", "elements": "str"},
                "search": {"type": "list", "elements": "str"},
            },
        },
        "grow_root": {"type": "bool", "default": True},
        "data_path": {"type": "str"},
        "user_data": {"type": "str", "no_log": True},
    },
}

MAX_USER_DATA_BYTES = 1024 * 1024
#: First line of user data → the type by which cloud-init knows it.
USER_DATA_TYPES = {
    "#cloud-config": "cloud-config",
    "#!": "x-shellscript",
    "#include": "x-include-url",
    "#cloud-boothook": "cloud-boothook",
    "#part-handler": "part-handler",
    "## template: jinja": "jinja2",
}
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_DOMAIN_NAME = re.compile(rf"{_HOST_NAME.pattern}(\.{_HOST_NAME.pattern})*")
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_INSTANCE_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_HASH = re.compile(r"\$[0-9A-Za-z]{1,8}\$[!-9;-~]{8,256}")
_KEY = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?")
_PATH = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+")
_MAX_USERS, _MAX_LIST = 100, 100


@dataclass(frozen=True)
class CloudUser:
    """An account. ``password`` in clear or ``password_hash``, or neither: no login by password."""

    name: str
    password: str = ""
    password_hash: str = ""
    ssh_keys: Tuple[str, ...] = ()
    groups: Tuple[str, ...] = ()
    sudo: bool = False
    shell: str = ""


@dataclass(frozen=True)
class CloudNetwork:
    """The network card's configuration; without ``addresses`` it asks by DHCP."""

    addresses: Tuple[str, ...] = ()
    gateways: Tuple[str, ...] = ()
    dns: Tuple[str, ...] = ()
    search: Tuple[str, ...] = ()


@dataclass(frozen=True)
class CloudInitRequest:
    """The checked option ``cloud_init``: all that the medium says; ``""`` is a default."""

    enabled: bool = True
    hostname: str = ""
    instance_id: str = ""
    users: Tuple[CloudUser, ...] = ()
    root_enabled: bool = False
    ssh_pwauth: Optional[bool] = None
    network: CloudNetwork = CloudNetwork()
    grow_root: bool = True
    data_path: str = ""
    user_data: str = ""


def cloud_init_request(options: Optional[Mapping[str, Any]]) -> Optional[CloudInitRequest]:
    """The checked option; None says nothing.

    :raises InvalidInput: a value that can never work; names the option.
    """
    if options is None:
        return None
    enabled = options.get("enabled")
    return CloudInitRequest(
        enabled=enabled is None or enabled,
        hostname=_matching(_HOST_NAME, options, "hostname", "a host name without a domain"),
        instance_id=_matching(
            _INSTANCE_ID, options, "instance_id", "1 to 128 letters, digits, '_', '.', '-'"
        ),
        users=_users(options.get("users") or []),
        root_enabled=bool(options.get("root_enabled")),
        ssh_pwauth=options.get("ssh_pwauth"),
        network=_network(options.get("network") or {}),
        grow_root=options.get("grow_root") is not False,
        data_path=_matching(
            _PATH,
            options,
            "data_path",
            "an absolute path of letters, digits, '_', '.', '-'",
        ),
        user_data=_user_data(options.get("user_data") or ""),
    )


def user_data_type(text: str) -> str:
    """The type of user data by its first line, ``""`` for none that cloud-init knows."""
    first = text.split("\n", 1)[0].rstrip()
    for mark, kind in USER_DATA_TYPES.items():
        if first == mark or (mark in ("#!", "#include") and first.startswith(mark)):
            return kind
    return ""


def _users(users: Sequence[Mapping[str, Any]]) -> Tuple[CloudUser, ...]:
    if len(users) > _MAX_USERS:
        raise InvalidInput(
            f"cloud_init.users has more than {_MAX_USERS} entries", field="cloud_init.users"
        )
    found = tuple(_user(f"cloud_init.users[{index}]", user) for index, user in enumerate(users))
    accounts = [user.name for user in found]
    for index, name in enumerate(accounts):
        if name in accounts[:index]:
            field = f"cloud_init.users[{index}].name"
            raise InvalidInput(f"{field}: {name} is there already", field=field)
    return found


def _user(field: str, user: Mapping[str, Any]) -> CloudUser:
    password, known_hash = user.get("password") or "", user.get("password_hash") or ""
    if password and known_hash:
        raise InvalidInput(
            f"{field}: password and password_hash exclude each other", field=f"{field}.password"
        )
    names.check_text(password, f"{field}.password")
    if known_hash and not _HASH.fullmatch(known_hash):
        # The value itself is a secret.
        raise InvalidInput(
            f"{field}.password_hash is not a hash as crypt makes them ($6$SALT$HASH)",
            field=f"{field}.password_hash",
        )
    shell = user.get("shell") or ""
    return CloudUser(
        name=_account(f"{field}.name", user["name"]),
        password=password,
        password_hash=known_hash,
        ssh_keys=tuple(
            _key(f"{field}.ssh_keys[{index}]", key)
            for index, key in enumerate(_some(user, "ssh_keys", field))
        ),
        groups=tuple(_account(f"{field}.groups", name) for name in _some(user, "groups", field)),
        sudo=bool(user.get("sudo")),
        shell=names.check_absolute_path(shell, f"{field}.shell") if shell else "",
    )


def _account(field: str, name: str) -> str:
    if not _ACCOUNT.fullmatch(name):
        raise InvalidInput(
            f"{field} {name[:60]!r} is not a name on Linux: letters, digits, '_', '.', '-', at "
            "most 32",
            field=field,
        )
    return name


def _key(field: str, key: str) -> str:
    key = key.strip()
    if not _KEY.fullmatch(names.check_text(key, field, limit=16384)):
        raise InvalidInput(
            f"{field} is not a public key as in a .pub file: type, key, comment", field=field
        )
    return key


def _network(network: Mapping[str, Any]) -> CloudNetwork:
    field = "cloud_init.network"
    addresses = [
        _interface(f"{field}.addresses[{index}]", text)
        for index, text in enumerate(_some(network, "addresses", field))
    ]
    gateways = [
        _address(f"{field}.gateways[{index}]", text)
        for index, text in enumerate(_some(network, "gateways", field))
    ]
    for gateway in gateways:
        if gateway.version not in [address.version for address in addresses]:
            raise InvalidInput(
                f"{field}.gateways: {gateway} needs an address of IPv{gateway.version} beside it",
                field=f"{field}.gateways",
            )
    if len({gateway.version for gateway in gateways}) < len(gateways):
        raise InvalidInput(
            f"{field}.gateways: one of each IP version is possible", field=f"{field}.gateways"
        )
    search = _some(network, "search", field)
    for domain in search:
        if len(domain) > 253 or not _DOMAIN_NAME.fullmatch(domain):
            raise InvalidInput(
                f"{field}.search: {domain[:60]!r} is no domain", field=f"{field}.search"
            )
    return CloudNetwork(
        addresses=tuple(str(address) for address in addresses),
        gateways=tuple(str(gateway) for gateway in gateways),
        dns=tuple(str(_address(f"{field}.dns", text)) for text in _some(network, "dns", field)),
        search=tuple(search),
    )


def _interface(field: str, text: str) -> Any:
    if "/" not in text:
        raise InvalidInput(
            f"{field} {text[:60]!r} needs its network's size, as in 192.0.2.7/24", field=field
        )
    try:
        return ipaddress.ip_interface(text.strip())
    except ValueError as error:
        raise InvalidInput(f"{field}: {str(error)[:200]}", field=field) from None


def _address(field: str, text: str) -> Any:
    try:
        return ipaddress.ip_address(text.strip())
    except ValueError as error:
        raise InvalidInput(f"{field}: {str(error)[:200]}", field=field) from None


def _user_data(text: str) -> str:
    field = "cloud_init.user_data"
    if len(text.encode()) > MAX_USER_DATA_BYTES:
        raise InvalidInput(f"{field} is larger than {MAX_USER_DATA_BYTES} bytes", field=field)
    if text and not user_data_type(text):
        marks = ", ".join(USER_DATA_TYPES)
        raise InvalidInput(
            f"{field} must begin with a line by which cloud-init knows it: {marks}", field=field
        )
    return text


def _some(options: Mapping[str, Any], name: str, field: str) -> List[str]:
    found = list(options.get(name) or [])
    if len(found) > _MAX_LIST:
        raise InvalidInput(
            f"{field}.{name} has more than {_MAX_LIST} entries", field=f"{field}.{name}"
        )
    return found


def _matching(pattern: re.Pattern[str], options: Mapping[str, Any], name: str, what: str) -> str:
    value = options.get(name) or ""
    if value and not pattern.fullmatch(value):
        field = f"cloud_init.{name}"
        raise InvalidInput(f"{field} {value[:140]!r} is not {what}", field=field)
    return str(value)
