#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the key by which a cell is known to the other cells."""

# ruff: noqa: E402 (an Ansible module has its documentation before its imports)
from __future__ import annotations

DOCUMENTATION = r"""
---
module: cell_identity
short_description: The keys by which cells know each other
description:
  - Makes sure that root has an ed25519 key without a passphrase, which libvirt uses to reach
    another cell when it migrates a guest, and returns what the other cells need to know.
version_added: "1.0.0"
options:
  name:
    description: The cell's name in the inventory, returned with its keys.
    type: str
    required: true
  address:
    description: Address or name by which other cells reach it, returned with its keys.
    type: str
    required: true
  path:
    description: The private key; an existing one is kept.
    type: path
    default: /root/.ssh/id_ed25519
  create:
    description: Make the key when there is none.
    type: bool
    default: true
attributes:
  check_mode:
    description: Makes no key and returns an empty one.
    support: full
  diff_mode:
    description: Names the key that is made.
    support: full
author: The nano-cloud developers
"""

EXAMPLES = r"""
- name: Give the cell a key
  cell_identity:
    name: "{{ inventory_hostname }}"
    address: "{{ ansible_host }}"
  register: identity
"""

RETURN = r"""
identity:
  description: What other cells need to know; a value of the option peers of cell_peers.
  returned: always
  type: dict
  sample:
    name: cell1
    address: 192.0.2.11
    hostname: cell1
    public_key: ssh-ed25519 AAAA... nano-cloud cell1
    host_keys: [ssh-ed25519 AAAA...]
"""

import glob
import os
import socket
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nano.cloud.plugins.module_utils.errors import (
    CloudError,
    Conflict,
    HypervisorError,
)


def create_key(path: str, hostname: str) -> None:
    """Make a key pair. Raises HypervisorError with ssh-keygen's words."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"nano-cloud {hostname}"]
    try:
        subprocess.run([*command, "-f", path], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        words = getattr(error, "stderr", "") or str(error)
        raise HypervisorError(f"ssh-keygen could not make {path}: {words.strip()}") from error


def public_key(path: str) -> str:
    """Return the public half. Raises Conflict for a key that needs a passphrase."""
    done = subprocess.run(
        ["ssh-keygen", "-y", "-P", "", "-f", path], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Conflict(
            f"The key {path} cannot be used without a person: {done.stderr.strip()}. Name "
            "another file in cell_migration_key_path.",
            path=path,
        )
    return " ".join(done.stdout.split()[:2])


def host_keys() -> list[str]:
    """Return the public keys of this host's ssh server, without comments, sorted."""
    keys = []
    for path in glob.glob("/etc/ssh/ssh_host_*_key.pub"):
        with open(path, encoding="ascii") as stream:
            keys.append(" ".join(stream.read().split()[:2]))
    return sorted(keys)


def ensure(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return the module's result; makes no key in check mode."""
    path, hostname = params["path"], socket.gethostname()
    missing = not os.path.exists(path)
    changed = missing and params["create"]
    if changed and not check_mode:
        create_key(path, hostname)
        missing = False
    identity = {
        "name": params["name"],
        "address": params["address"],
        "hostname": hostname,
        "public_key": "" if missing else public_key(path),
        "host_keys": host_keys(),
    }
    diff = {"before": "", "after": f"{path}\n" if changed else ""}
    return {"changed": changed, "identity": identity, "diff": diff}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "path": {"type": "path", "default": "/root/.ssh/id_ed25519", "no_log": False},
            "create": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**ensure(module.params, module.check_mode))
    except CloudError as error:
        module.fail_json(msg=error.message, error=error.as_dict())


if __name__ == "__main__":
    main()
