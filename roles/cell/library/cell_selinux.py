#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: what SELinux lets QEMU do."""

# ruff: noqa: E402 (an Ansible module has its documentation before its imports)
from __future__ import annotations

DOCUMENTATION = r"""
---
module: cell_selinux
short_description: SELinux lets QEMU use shared storage
description:
  - Turns booleans of SELinux on, now and after each restart. A host without SELinux, or whose
    policy does not have a boolean, has nothing to allow.
version_added: "1.0.0"
options:
  booleans:
    description: Names of the booleans.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: Turns nothing on.
    support: full
  diff_mode:
    description: Lists what is turned on.
    support: full
author: The nano-cloud developers
"""

EXAMPLES = r"""
- name: Let QEMU use disks on NFS
  cell_selinux:
    booleans: [virt_use_nfs]
"""

RETURN = r"""
turned_on:
  description: The booleans that were off.
  returned: always
  type: list
  elements: str
"""

import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

BOOLEANS = Path("/sys/fs/selinux/booleans")


def those_off(names: list[str], folder: Path = BOOLEANS) -> list[str]:
    """Those that are there and off; a file says the value now and the one to come: ``0 0``."""
    files = {name: folder / name for name in names}
    return [name for name, file in files.items() if file.is_file() and "0" in file.read_text()]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "booleans": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    off = those_off(module.params["booleans"])
    if off and not module.check_mode:
        # -P: also in the policy on disk.
        command = ["setsebool", "-P", *(f"{name}=on" for name in off)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            module.fail_json(msg=f"{' '.join(command)} failed: {done.stderr.strip()}")
    diff = {
        "before": "".join(f"{name}: off\n" for name in off),
        "after": "".join(f"{name}: on\n" for name in off),
    }
    module.exit_json(changed=bool(off), turned_on=off, diff=diff)


if __name__ == "__main__":
    main()
