#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.snapshot_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_info
short_description: Read the snapshots of a guest
version_added: 1.0.0
description:
  - Returns the tree of snapshots that M(nano.cloud.snapshot) has made of a guest.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.reader
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
options:
  id:
    description: UUID of the guest. Either O(id) or O(name) is required.
    type: str
  name:
    description: Name of the guest. Ignored when O(id) is given.
    type: str
seealso:
  - module: nano.cloud.snapshot
"""

EXAMPLES = r"""
- name: Read the snapshots of a guest
  nano.cloud.snapshot_info:
    name: admin.web1
  register: found
"""

RETURN = r"""
guest:
  description: The guest with C(id) and C(name).
  returned: success
  type: dict
current:
  description: The snapshot that the guest is at, or null.
  returned: success
  type: str
snapshots:
  description: All snapshots, oldest first; an empty list when there is none.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name.
      type: str
    description:
      description: What it is for.
      type: str
    create_time:
      description: When it was taken, in UTC, such as V(2026-11-24T03:33:54Z).
      type: str
    backing:
      description: The snapshot that the guest was at when it was taken, or null.
      type: str
    is_root:
      description: Whether the guest was at no snapshot then.
      type: bool
    is_current:
      description: Whether the guest is at it, with or without changes since.
      type: bool
    running:
      description: Whether the memory was kept too.
      type: bool
    allocated_bytes:
      description: What its files take, or null when that cannot be found out.
      type: int
    state:
      description: V(ready), or V(creating) or V(deleting) when a run was interrupted amid that.
      type: str
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils import names
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import (
    NO_DIFFERENCES,
    Result,
    run_module,
)
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_reader import read_snapshots

ARGUMENTS = {"id": {"type": "str"}, "name": {"type": "str"}}


def ensure(params: Mapping[str, Any], host: LibvirtHost, _check_mode: bool) -> Result:
    """Read a guest's snapshots."""
    guest_id, name = params["id"], params["name"]
    found = read_snapshots(
        host,
        None if guest_id is None else names.check_guest_id(guest_id),
        None if name is None else names.check_guest_name(name),
    )
    return Result(NO_DIFFERENCES, found)


def main() -> None:
    """Entry point of the module."""
    run_module(ARGUMENTS, ensure, read_only=True, required_one_of=[["id", "name"]])


if __name__ == "__main__":
    main()
