#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.storage_pool."""

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_pool
short_description: Manage a libvirt storage pool
version_added: 1.0.0
description:
  - Defines a storage pool, makes its directory, starts it and has it start with the host.
  - Removing a pool makes libvirt forget it; its directory and the files in it stay.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.writer
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
  - nano.cloud.connection.lock
options:
  state:
    description: Whether the pool exists.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Name of the pool.
    type: str
    required: true
  type:
    description: Kind of the pool. The kind of an existing pool cannot be changed.
    type: str
    choices: [dir]
    default: dir
  path:
    description:
      - Directory of the pool. Required to create one.
      - The path of an existing pool cannot be changed.
    type: path
  autostart:
    description: Whether libvirt starts the pool with the host.
    type: bool
    default: true
  active:
    description: Whether the pool is started.
    type: bool
    default: true
  force:
    description: With O(state=absent), remove a pool although it has volumes.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: A pool for the guests' disks
  nano.cloud.storage_pool:
    name: default
    path: /var/lib/libvirt/images

- name: Forget a pool
  nano.cloud.storage_pool:
    name: old
    state: absent
"""

RETURN = r"""
pool:
  description: The pool, or null when there is none.
  returned: success
  type: dict
  contains:
    name:
      description: Name.
      type: str
    type:
      description: Kind.
      type: str
    path:
      description: Directory.
      type: str
    state:
      description: V(active) or V(inactive), or what else libvirt says.
      type: str
    autostart:
      description: Whether it starts with the host.
      type: bool
    capacity_bytes:
      description: Size of the file system; 0 while the pool is not active.
      type: int
    allocation_bytes:
      description: What is used there.
      type: int
    available_bytes:
      description: What is left there.
      type: int
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module
from ansible_collections.nano.cloud.plugins.module_utils.pool_service import (
    ensure_pool_absent,
    ensure_pool_present,
)
from ansible_collections.nano.cloud.plugins.module_utils.pool_spec import (
    POOL_ARGUMENTS,
    pool_request,
)


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Make the pool what the options say."""
    request, wait = pool_request(params), params["lock_timeout_seconds"]
    if params["state"] == "present":
        outcome = ensure_pool_present(host, request, check_mode, wait)
    else:
        outcome = ensure_pool_absent(host, request, params["force"], check_mode, wait)
    return Result(outcome.differences, {"pool": outcome.pool})


def main() -> None:
    """Entry point of the module."""
    run_module(POOL_ARGUMENTS, ensure)


if __name__ == "__main__":
    main()
