#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.cell_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cell_info
short_description: Read what a libvirt host has and how busy it is
version_added: 1.0.0
description:
  - Returns the size and use of a host, its libvirt and QEMU, the domain types that really work on
    it, its storage pools and bridges, and how many guests run.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.reader
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
"""

EXAMPLES = r"""
- name: Read the host
  nano.cloud.cell_info:
  register: found

- name: Refuse a host that is nearly full
  ansible.builtin.assert:
    that: found.cell.disk_available_bytes > 10 * 1024 ** 3
"""

RETURN = r"""
cell:
  description: The host. A figure that its libvirt cannot tell is null.
  returned: success
  type: dict
  contains:
    hostname:
      description: The host's name.
      type: str
    cores:
      description: Number of processors.
      type: int
    memory_bytes:
      description: Memory of the host.
      type: int
    memory_available_bytes:
      description: Memory that is free or can be freed at once.
      type: int
    cpu_usage_percent:
      description: Use of all processors together over a short moment, 0 to 100.
      type: float
    libvirt_version:
      description: Version of libvirt.
      type: str
      sample: 9.0.0
    qemu_version:
      description: Version of the hypervisor.
      type: str
      sample: 7.2.22
    domain_types:
      description: Domain types that really work, the best one first.
      type: list
      elements: str
      sample: [kvm, qemu]
    pools:
      description: Storage pools, as M(nano.cloud.storage_pool) returns them.
      type: list
      elements: dict
    bridges:
      description: Names of the Linux bridges.
      type: list
      elements: str
    guests_running:
      description: Number of guests that run.
      type: int
    guests_stopped:
      description: Number of guests that do not run.
      type: int
    disk_bytes:
      description: Size of the file system of the pool C(default).
      type: int
    disk_available_bytes:
      description: Space left there.
      type: int
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.cell_service import read_cell
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import (
    NO_DIFFERENCES,
    Result,
    run_module,
)


def ensure(_params: Mapping[str, Any], host: LibvirtHost, _check_mode: bool) -> Result:
    """Read the host."""
    return Result(NO_DIFFERENCES, {"cell": read_cell(host)})


def main() -> None:
    """Entry point of the module."""
    run_module({}, ensure, read_only=True)


if __name__ == "__main__":
    main()
