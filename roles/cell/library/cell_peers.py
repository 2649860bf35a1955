#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the other cells, as a cell has to know them to migrate guests."""

# ruff: noqa: E402 (an Ansible module has its documentation before its imports)
from __future__ import annotations

DOCUMENTATION = r"""
---
module: cell_peers
short_description: The other cells that a cell can migrate guests to and from
description:
  - Keeps one marked block each in root's authorized_keys, in the host's list of known ssh hosts
    and in /etc/hosts, with a line for every peer. Everything outside the blocks stays.
  - Peers that are in the block but not given stay, as long as O(members) names them, so that a
    run for a few cells does not make the others strangers.
version_added: "1.0.0"
options:
  peers:
    description: The cells as they are now.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name in the inventory.
        type: str
        required: true
      address:
        description: Address or name by which the other cells reach it.
        type: str
        required: true
      hostname:
        description: What the cell calls itself; libvirt sends guests there.
        type: str
        required: true
      public_key:
        description: Key that its root logs in with.
        type: str
        required: true
      host_keys:
        description: Keys that its ssh server shows.
        type: list
        elements: str
        required: true
  members:
    description: Names of all cells; entries of others are removed.
    type: list
    elements: str
    default: []
  hosts_entries:
    description:
      - V(auto) writes names into /etc/hosts that do not resolve otherwise, V(always) all,
        V(never) none.
    type: str
    choices: [auto, always, never]
    default: auto
attributes:
  check_mode:
    description: Shows what would be done.
    support: full
  diff_mode:
    description: Shows the files.
    support: full
author: The nano-cloud developers
"""

EXAMPLES = r"""
- name: Introduce cell2
  cell_peers:
    peers:
      - name: cell2
        address: 192.0.2.12
        hostname: cell2
        public_key: ssh-ed25519 AAAA...
        host_keys: [ssh-ed25519 AAAA...]
    members: [cell1, cell2]
"""

RETURN = r"""
peers:
  description: Names of all peers that this cell knows now.
  returned: always
  type: list
  elements: str
"""

import ipaddress
import os
import re
import socket
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nano.cloud.plugins.module_utils.errors import CloudError, InvalidInput

AUTHORIZED_KEYS = "/root/.ssh/authorized_keys"
KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts"
HOSTS = "/etc/hosts"
BEGIN, END = "# BEGIN nano-cloud cells", "# END nano-cloud cells"
# Each line ends with the peer's inventory name, by which it is found again.
NAME_MARK = " # nano-cloud "


def check_peers(peers: list[dict[str, Any]]) -> None:
    """Raise InvalidInput for a value that would break the files' lines."""
    for peer in peers:
        for field in ("name", "address", "hostname"):
            if not re.fullmatch(r"[A-Za-z0-9_.:%-]+", peer[field]):
                raise InvalidInput(f"{field}: {peer[field]!r} of a cell is no name or address.")
        for key in [peer["public_key"], *peer["host_keys"]]:
            if not re.fullmatch(r"[a-z0-9@.-]+ [A-Za-z0-9+/=]+", key):
                raise InvalidInput(f"{key!r} of {peer['name']} is no ssh key.")


def read_block(path: str) -> tuple[list[str], list[str], list[str]]:
    """Return the lines before, in and after our block; the markers are in none of them."""
    lines: list[str] = []
    if os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            lines = stream.read().splitlines()
    if BEGIN not in lines or END not in lines:
        return lines, [], []
    begin, end = lines.index(BEGIN), lines.index(END)
    return lines[:begin], lines[begin + 1 : end], lines[end + 1 :]


def name_of(line: str) -> str:
    return line.rpartition(NAME_MARK)[2]


def resolves(name: str) -> bool:
    try:
        socket.getaddrinfo(name, None)
    except (socket.gaierror, UnicodeError):
        return False
    return True


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def key_lines(peer: dict[str, Any]) -> list[str]:
    # sshd allows a comment after the key only.
    return [f"{peer['public_key']}{NAME_MARK}{peer['name']}"]


def known_hosts_lines(peer: dict[str, Any]) -> list[str]:
    names = ",".join(dict.fromkeys([peer["name"], peer["hostname"], peer["address"]]))
    return [f"{names} {key}{NAME_MARK}{peer['name']}" for key in peer["host_keys"]]


def hosts_lines(peer: dict[str, Any], old: list[str], when: str) -> list[str]:
    """Return the peer's line of /etc/hosts; a name that only our own line resolves stays in it."""
    if when == "never" or not is_address(peer["address"]):
        return []
    ours = {word for line in old if name_of(line) == peer["name"] for word in line.split()[1:]}
    names = list(dict.fromkeys([peer["name"], peer["hostname"]]))
    if when == "auto":
        names = [name for name in names if name in ours or not resolves(name)]
    return [f"{peer['address']} {' '.join(names)}{NAME_MARK}{peer['name']}"] if names else []


def merged(old: list[str], new: dict[str, list[str]], members: list[str]) -> list[str]:
    """Return the block: new lines for the peers given, old ones for other members, sorted."""
    kept = [line for line in old if name_of(line) not in new and name_of(line) in members]
    return sorted([*kept, *(line for lines in new.values() for line in lines)], key=name_of)


def ensure_block(path: str, lines: list[str], mode: int, check_mode: bool) -> dict[str, str]:
    """Write the block when it differs; return the diff, empty when nothing changes."""
    before, old, after = read_block(path)
    if lines == old:
        return {}
    text_before = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            text_before = stream.read()
        mode = os.stat(path).st_mode & 0o7777
    block = [BEGIN, *lines, END] if lines else []
    text = "\n".join([*before, *block, *after]) + "\n"
    if not check_mode:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        write(path, text, mode)
    return {"before": text_before, "after": text, "before_header": path, "after_header": path}


def write(path: str, text: str, mode: int) -> None:
    """Replace a file at once; in place where it is mounted on its own and cannot be replaced."""
    if os.path.ismount(path):
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return
    with open(f"{path}.nano-cloud", "w", encoding="utf-8") as stream:
        os.chmod(stream.fileno(), mode)
        stream.write(text)
    os.replace(f"{path}.nano-cloud", path)


def ensure(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return the module's result; writes nothing in check mode."""
    peers = [peer for peer in params["peers"] if peer["public_key"]]
    check_peers(peers)
    members = params["members"]
    old_hosts = read_block(HOSTS)[1]
    if params["hosts_entries"] == "never":
        old_hosts = []
    wanted = {
        AUTHORIZED_KEYS: {peer["name"]: key_lines(peer) for peer in peers},
        KNOWN_HOSTS: {peer["name"]: known_hosts_lines(peer) for peer in peers},
        HOSTS: {
            peer["name"]: hosts_lines(peer, old_hosts, params["hosts_entries"]) for peer in peers
        },
    }
    modes = {AUTHORIZED_KEYS: 0o600, KNOWN_HOSTS: 0o644, HOSTS: 0o644}
    diff = []
    known: list[str] = []
    for path, new in wanted.items():
        old = old_hosts if path == HOSTS else read_block(path)[1]
        lines = merged(old, new, members)
        if path == AUTHORIZED_KEYS:
            known = sorted({name_of(line) for line in lines})
        diff.append(ensure_block(path, lines, modes[path], check_mode))
    diff = [one for one in diff if one]
    return {"changed": bool(diff), "diff": diff, "peers": known}


def main() -> None:
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "peers": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": text,
                    "address": text,
                    "hostname": text,
                    "public_key": {**text, "no_log": False},
                    "host_keys": {
                        "type": "list",
                        "elements": "str",
                        "required": True,
                        "no_log": False,
                    },
                },
            },
            "members": {"type": "list", "elements": "str", "default": []},
            "hosts_entries": {
                "type": "str",
                "default": "auto",
                "choices": ["auto", "always", "never"],
            },
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**ensure(module.params, module.check_mode))
    except CloudError as error:
        module.fail_json(msg=error.message, error=error.as_dict())


if __name__ == "__main__":
    main()
