#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.cell_lease."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cell_lease
short_description: Grant a libvirt host the lease on shared storage, or take it back
version_added: 1.0.0
description:
  - A host with the lease may run guests whose disks are in a storage pool that hosts share. The
    role C(cell) installs the unit C(nano-cell-lease), which ends these guests when the lease is
    over, so that another host may start them.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.writer
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
options:
  state:
    description:
      - V(granted) runs on the host O(cell) itself, and waits until it holds the lease.
      - V(revoked) runs on another host that has the pool, and waits until it is certain that none
        of the guests of O(cell) runs.
      - V(released) runs on the host O(cell) itself. Its guests need no lease any more.
    type: str
    choices: [granted, revoked, released]
    default: granted
  cell:
    description: Name of the host whose lease it is, the same on all hosts.
    type: str
    required: true
  pool:
    description: Storage pool on the shared storage.
    type: str
    required: true
  lease_seconds:
    description: How long guests go on when the storage cannot be reached; 6 to 600.
    type: int
    default: 15
  fenced:
    description: With V(revoked), that O(cell) is certainly off, so that nothing is waited for.
    type: bool
    default: false
  wait_seconds:
    description: Longest wait, after which the module fails.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Let this host run guests of the pool
  nano.cloud.cell_lease:
    cell: "{{ inventory_hostname }}"
    pool: nfs1

- name: Be certain that a host that does not answer runs none of them
  nano.cloud.cell_lease:
    cell: host3
    pool: nfs1
    state: revoked
"""

RETURN = r"""
lease:
  description: How the lease stands.
  returned: success
  type: dict
  contains:
    cell:
      description: Whose it is.
      type: str
    granted:
      description: Whether it is granted.
      type: bool
    epoch:
      description: Counts how often it was granted and taken back.
      type: int
    ended:
      description:
        - How it is known that its guests are ended; C(fenced), C(acknowledged) by the host itself,
          or C(expired). Empty for other states.
      type: str
    waited_seconds:
      description: How long it took until that was known.
      type: float
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.cell_lease_service import (
    ensure_granted,
    ensure_released,
    ensure_revoked,
)
from ansible_collections.nano.cloud.plugins.module_utils.cell_lease_spec import (
    LEASE_ARGUMENTS,
    lease_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module

_STATES = {"granted": ensure_granted, "revoked": ensure_revoked, "released": ensure_released}


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Have the lease granted, revoked or released."""
    request = lease_request(params)
    outcome = _STATES[request.state](host, request, check_mode)
    return Result(outcome.differences, {"lease": outcome.lease})


def main() -> None:
    """Entry point of the module."""
    run_module(LEASE_ARGUMENTS, ensure)


if __name__ == "__main__":
    main()
