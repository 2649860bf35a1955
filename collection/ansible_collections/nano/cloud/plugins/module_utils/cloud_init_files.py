# SPDX-License-Identifier: BSD-2-Clause
"""The files of cloud-init's NoCloud medium: written, read again, shown without secrets. Pure.

Documents are JSON, which is YAML too. The same request makes the same bytes: a password that is
hashed already keeps its salt.
"""

from __future__ import annotations

import email
import hashlib
import ipaddress
import json
from dataclasses import dataclass
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any, Dict, List, Mapping, Optional, Tuple

from . import iso_image, sha512_crypt
from .cloud_init_scripts import data_disks_script
from .cloud_init_spec import CloudInitRequest, CloudNetwork, CloudUser, user_data_type

LABEL = "cidata"
_HEADER = "#cloud-config\n"
_META, _USER, _NETWORK = "meta-data", "user-data", "network-config"
# The name that the network card gets; systems differ in how they would call it.
_CARD = "eth0"
# Ours is merged into the user's: lists are added to his, and what he says twice is as he says it.
_MERGE = "list(append)+dict(no_replace,recurse_list)+str()"
_ROOT = "root"
_HIDDEN = "(hidden)"
_SECRET_KEYS = ("passwd", "hashed_passwd", "list")


@dataclass(frozen=True)
class GuestFacts:
    """What of a guest its medium tells: id, name, and the MAC of its card (``""``: none)."""

    id: str
    name: str
    mac: str


def build_medium(request: CloudInitRequest, guest: GuestFacts, found: Optional[bytes]) -> bytes:
    """The image. ``found`` is the one that the guest has, for the salts of its passwords."""
    known = _known_hashes(found)
    return iso_image.build(LABEL, _files(request, guest, known))


def shown(medium: Optional[bytes]) -> Optional[Dict[str, Any]]:
    """What a medium says, for people: documents with secrets hidden. None without a medium."""
    if medium is None:
        return None
    files = iso_image.files_in(medium)
    if _USER not in files:
        return {"content": "(unknown)"}
    config, others = _parts_of(files[_USER])
    return {
        _META: _parsed(files.get(_META, b"")),
        _NETWORK: _parsed(files.get(_NETWORK, b"")),
        _USER: _without_secrets(config),
        "parts": others,
    }


def differing(found: Optional[bytes], wanted: bytes) -> Tuple[Any, Any]:
    """What both say, for a diff; they differ exactly when the media do."""
    before, after = shown(found), shown(wanted)
    if found != wanted and before == after and after is not None:
        return {**after, "secrets": _HIDDEN}, {**after, "secrets": f"{_HIDDEN[:-1]}, changed)"}
    return before, after


def default_host_name(name: str) -> str:
    """A host name from a guest's: of ``group.name`` the name; what no host has becomes ``-``."""
    last = name.rsplit(".", 1)[-1] or name
    letters = "".join(each if each.isascii() and each.isalnum() else "-" for each in last)
    return letters[:63].strip("-") or "guest"


def _files(
    request: CloudInitRequest, guest: GuestFacts, known: Mapping[str, str]
) -> Dict[str, bytes]:
    meta = {
        "instance-id": request.instance_id or guest.id,
        "local-hostname": request.hostname or default_host_name(guest.name),
    }
    return {
        _META: _document(meta),
        _NETWORK: _document(_network_config(request.network, guest.mac)),
        _USER: _user_data(request, _cloud_config(request, known)),
    }


def _document(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _network_config(network: CloudNetwork, mac: str) -> Dict[str, Any]:
    if not mac:
        return {"version": 2}
    card: Dict[str, Any] = {"match": {"macaddress": mac}, "set-name": _CARD}
    if not network.addresses:
        card["dhcp4"] = True
    else:
        card["dhcp4"] = False
        card["addresses"] = list(network.addresses)
    routes = [_default_route(gateway, network.addresses) for gateway in network.gateways]
    if routes:
        card["routes"] = routes
    servers = {"addresses": list(network.dns), "search": list(network.search)}
    if network.dns or network.search:
        card["nameservers"] = {name: value for name, value in servers.items() if value}
    return {"version": 2, "ethernets": {_CARD: card}}


def _default_route(gateway: str, addresses: Tuple[str, ...]) -> Dict[str, Any]:
    """By its network: older versions do not know the word ``default``."""
    address = ipaddress.ip_address(gateway)
    route: Dict[str, Any] = {"to": "0.0.0.0/0" if address.version == 4 else "::/0", "via": gateway}
    if not any(address in ipaddress.ip_interface(each).network for each in addresses):
        route["on-link"] = True
    return route


def _cloud_config(request: CloudInitRequest, known: Mapping[str, str]) -> Dict[str, Any]:
    config: Dict[str, Any] = {
        "disable_root": not request.root_enabled,
        "manage_etc_hosts": "localhost",
        "users": [_account(user, known) for user in request.users],
        "growpart": {"mode": "auto" if request.grow_root else "off", "devices": ["/"]},
        "resize_rootfs": request.grow_root,
    }
    if request.ssh_pwauth is not None:
        config["ssh_pwauth"] = request.ssh_pwauth
    for user in request.users:
        if user.name == _ROOT and (user.password or user.password_hash):
            # An account that is there already: older versions set its password only so.
            config["chpasswd"] = {"expire": False, "list": [f"{_ROOT}:{_hash(user, known)}"]}
    if request.root_enabled and request.ssh_pwauth:
        config["write_files"] = [
            {
                "path": "/etc/ssh/sshd_config.d/10-cloud-init-root.conf",
                "content": "PermitRootLogin yes\n",
            }
        ]
    return config


def _account(user: CloudUser, known: Mapping[str, str]) -> Dict[str, Any]:
    account: Dict[str, Any] = {"name": user.name}
    password = _hash(user, known)
    account["lock_passwd"] = not password
    if user.name != _ROOT:
        account["shell"] = user.shell or "/bin/bash"
        if password:
            # The first is for a new account, the second for one that the image has.
            account["passwd"] = account["hashed_passwd"] = password
    if user.ssh_keys:
        account["ssh_authorized_keys"] = list(user.ssh_keys)
    if user.groups:
        account["groups"] = list(user.groups)
    if user.sudo:
        account["sudo"] = "ALL=(ALL) NOPASSWD:ALL"
    return account


def _hash(user: CloudUser, known: Mapping[str, str]) -> str:
    if not user.password:
        return user.password_hash
    found = known.get(user.name, "")
    return found if sha512_crypt.is_hash_of(user.password, found) else _new_hash(user)


def _new_hash(user: CloudUser) -> str:
    return sha512_crypt.new_hash(user.password)


def _user_data(request: CloudInitRequest, config: Mapping[str, Any]) -> bytes:
    ours = _HEADER + json.dumps(config, indent=1, sort_keys=True) + "\n"
    parts = [_part(ours, "cloud-config", merged=True)]
    if request.data_path:
        parts.append(_part(data_disks_script(request.data_path), "x-shellscript"))
    if request.user_data:
        kind = user_data_type(request.user_data)
        # A configuration is what ours is merged into; a script runs when ours have run.
        position = 0 if kind == "cloud-config" else len(parts)
        parts.insert(position, _part(request.user_data, kind))
    if len(parts) == 1:
        return ours.encode()
    digest = hashlib.sha256(b"".join(part.as_bytes() for part in parts)).hexdigest()
    return MIMEMultipart("mixed", boundary=f"=={digest[:32]}==", _subparts=parts).as_bytes()


def _part(text: str, kind: str, merged: bool = False) -> Message:
    part = MIMEText(text, kind, "utf-8")
    if merged:
        part["Merge-Type"] = _MERGE
    return part


def _known_hashes(medium: Optional[bytes]) -> Dict[str, str]:
    """Account → the hash of its password in a medium that was made here."""
    files = iso_image.files_in(medium) if medium else {}
    config, _others = _parts_of(files.get(_USER, b""))
    if not isinstance(config, dict):
        return {}
    hashes = {}
    for account in config.get("users") or ():
        hashes[str(account.get("name"))] = str(account.get("passwd") or "")
    for line in (config.get("chpasswd") or {}).get("list") or ():
        name, _colon, password = str(line).partition(":")
        hashes[name] = password
    return hashes


def _parts_of(user_data: bytes) -> Tuple[Any, List[str]]:
    """(our configuration, the type of each other part)."""
    if user_data.startswith(_HEADER.encode()):
        return _parsed(user_data), []
    config: Any = None
    others = []
    message = email.message_from_bytes(user_data)
    for part in message.walk() if message.is_multipart() else ():
        content = part.get_payload(decode=True)
        if not isinstance(content, bytes):
            continue
        if part.get("Merge-Type") == _MERGE:
            config = _parsed(content)
        else:
            others.append(part.get_content_subtype())
    return config, others


def _parsed(document: bytes) -> Any:
    try:
        return json.loads(document.decode().replace(_HEADER, "", 1))
    except (ValueError, UnicodeDecodeError):
        return "(unknown)"


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _HIDDEN if key in _SECRET_KEYS else _without_secrets(item)
            for key, item in value.items()
        }
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value
