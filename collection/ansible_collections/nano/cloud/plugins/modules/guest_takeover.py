#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.guest_takeover."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_takeover
short_description: Define the guests of a lost host here, or forget guests that went elsewhere
version_added: 1.0.0
description:
  - Guests whose disks are in a pool on shared storage are defined from the copies of their
    definitions that the lost host kept there (see M(nano.cloud.cell_lease)), with their UEFI
    variables, TPM state and security policies.
  - The lost host's lease has to be revoked before. Guests are not started.
  - The failure of one guest does not stop the others. When some have failed, the module fails at
    the end, names them, and returns RV(results) of all.
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
    description:
      - V(taken) defines the guests on this host.
      - V(left) forgets them here, and ends those that run. Their disks are left alone.
    type: str
    choices: [taken, left]
    default: taken
  cell:
    description: Name of the host that had the guests. Required with V(taken).
    type: str
  pool:
    description: Storage pool on the shared storage.
    type: str
    required: true
  guests:
    description: The guests.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: UUID of the guest.
        type: str
        required: true
      display_port:
        description: Port of its display here; as it was if not given.
        type: int
      auto_start:
        description: Whether it starts with this host.
        type: bool
        default: false
  at_once:
    description: How many are worked on at the same time.
    type: int
    default: 4
"""

EXAMPLES = r"""
- name: Take over
  nano.cloud.guest_takeover:
    cell: host3
    pool: nfs1
    guests:
      - id: 0a50c4b1-3c1b-4f6b-9d6d-0d3e8f6f1c11
        display_port: 5907
        auto_start: true
"""

RETURN = r"""
results:
  description: What came of each of O(guests), in their order.
  returned: always
  type: list
  elements: dict
  contains:
    index:
      description: Its place in the list, from 0.
      type: int
    id:
      description: UUID of the guest.
      type: str
    name:
      description: Name of the guest.
      type: str
    changed:
      description: Whether it was changed.
      type: bool
    failed:
      description: Whether it failed.
      type: bool
    error:
      description: Why, with C(code) and C(message); null when it did not fail.
      type: dict
    guest:
      description:
        - The guest, as M(nano.cloud.guest_info) returns it; null when it is not here. In
          check mode its C(id) and C(name) alone.
      type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.cell_lease_spec import (
    TAKEOVER_ARGUMENTS,
    takeover_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_batch import OneDone, run_batch
from ansible_collections.nano.cloud.plugins.module_utils.guest_takeover_service import (
    ensure_left,
    ensure_taken,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module

_STATES = {"taken": ensure_taken, "left": ensure_left}


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Have each guest here, or not."""

    def one(entry: Mapping[str, Any]) -> OneDone:
        request = takeover_request(params, entry)
        act = _STATES[params["state"]]
        outcome = act(host, request, check_mode, params["lock_timeout_seconds"])
        differences = outcome.differences
        return OneDone(differences, {"guest": outcome.guest}, differences.changed, outcome.warnings)

    done = run_batch(params["guests"], one, params["at_once"])
    return Result(done.differences, {"results": done.results}, done.warnings)


def main() -> None:
    """Entry point of the module."""
    run_module(TAKEOVER_ARGUMENTS, ensure)


if __name__ == "__main__":
    main()
