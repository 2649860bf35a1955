#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.storage_pool_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_pool_info
short_description: Read the storage pools of a libvirt host
version_added: 1.0.0
description:
  - Returns one pool, or all of a host, in the words of M(nano.cloud.storage_pool).
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.reader
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
options:
  name:
    description: Name of the pool. When omitted all pools are returned.
    type: str
  refresh:
    description:
      - Whether libvirt looks again what is in the active pools, for files that others put there or
        took away.
    type: bool
    default: false
  volumes:
    description: Whether the volumes are returned too.
    type: bool
    default: false
seealso:
  - module: nano.cloud.storage_pool
"""

EXAMPLES = r"""
- name: Read all pools
  nano.cloud.storage_pool_info:
  register: found

- name: Read what is in one of them now
  nano.cloud.storage_pool_info:
    name: shared
    refresh: true
    volumes: true
  register: shared
"""

RETURN = r"""
pools:
  description: The pools, sorted by name; an empty list when there is none.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name. M(nano.cloud.storage_pool) tells what else there is.
      type: str
    guests:
      description: Names of this host's guests that use it.
      type: list
      elements: str
    volumes:
      description: The volumes, sorted by name.
      returned: when O(volumes=true)
      type: list
      elements: dict
      contains:
        name:
          description: Name.
          type: str
        path:
          description: Absolute path.
          type: str
        size_bytes:
          description: What a guest sees.
          type: int
        allocated_bytes:
          description: What it takes.
          type: int
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
from ansible_collections.nano.cloud.plugins.module_utils.pool_reader import read_pool_details

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str"},
    "refresh": {"type": "bool", "default": False},
    "volumes": {"type": "bool", "default": False},
}


def ensure(params: Mapping[str, Any], host: LibvirtHost, _check_mode: bool) -> Result:
    """Read the pools."""
    name = params["name"]
    if name is not None:
        names.check_pool_name(name, "name")
    pools = read_pool_details(host, name, params["refresh"], params["volumes"])
    return Result(NO_DIFFERENCES, {"pools": pools})


def main() -> None:
    """Entry point of the module."""
    # Looking again is no change of the host, but libvirt does it for those who may change it.
    run_module(ARGUMENTS, ensure)


if __name__ == "__main__":
    main()
