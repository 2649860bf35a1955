#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.snapshot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot
short_description: Take, restore or delete a snapshot of a guest
version_added: 1.0.0
description:
  - A snapshot is a state of all disks of a guest at one moment, and of its memory on demand, that
    the guest can go back to any number of times.
  - Snapshots form a tree. What is taken after going back to an older one becomes another branch.
  - Deleting one keeps all others. What they need of it is merged into them.
  - It works with guests that run and that are stopped. Disks must be volumes in a storage pool that
    is a directory.
  - A run that was killed is completed or undone by the next one.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.writer
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
  - nano.cloud.connection.lock
requirements:
  - qemu-img on the host (package C(qemu-utils) or C(qemu-img))
options:
  id:
    description: UUID of the guest. Either O(id) or O(name) is required.
    type: str
  name:
    description: Name of the guest. Ignored when O(id) is given.
    type: str
  snapshot:
    description: Name of the snapshot, of its own among those of the guest.
    type: str
    required: true
  state:
    description:
      - V(present) takes the snapshot when there is none of that name.
      - V(absent) merges it into those that were made from it, and deletes it.
      - V(restored) brings the guest's disks back to it. What was written since then, and is in no
        other snapshot, is lost. The guest is stopped afterwards, unless its memory is restored too.
      - Disks that were added after the snapshot stay as they are.
    type: str
    choices: [present, absent, restored]
    default: present
  description:
    description: What it is for. Of a snapshot that exists only this can be changed.
    type: str
  memory:
    description:
      - With O(state=present), whether the memory of a running guest is kept too. By default it is
        not. Disks are then as after a power failure.
      - With O(state=restored), V(false) leaves the memory out; otherwise a guest whose memory was
        kept goes on running from that moment, each time that it is asked for.
    type: bool
  force:
    description: Whether a running guest is ended at once to go back to a snapshot.
    type: bool
    default: false
  wait_seconds:
    description:
      - With O(state=absent), return after about that time although not all is merged, with
        RV(ready) false; the next run goes on. A running guest goes on merging meanwhile.
      - A merge of one disk of a stopped guest is not broken off. V(0) waits until all is done.
    type: int
    default: 0
seealso:
  - module: nano.cloud.snapshot_info
  - module: nano.cloud.guest
"""

EXAMPLES = r"""
- name: Take a snapshot of a guest, running or not
  nano.cloud.snapshot:
    name: admin.web1
    snapshot: before-upgrade
    description: Before the upgrade to 2.0

- name: Take one with the memory of the running guest
  nano.cloud.snapshot:
    name: admin.web1
    snapshot: amid-work
    memory: true

- name: Go back, whatever the guest is doing
  nano.cloud.snapshot:
    name: admin.web1
    snapshot: before-upgrade
    state: restored
    force: true

- name: Delete one, showing progress
  nano.cloud.snapshot:
    name: admin.web1
    snapshot: amid-work
    state: absent
    wait_seconds: 2
  register: result
  until: result is failed or result.ready
  retries: 100000
  delay: 0
"""

RETURN = r"""
snapshot:
  description: The snapshot, or null when there is none of that name (any more).
  returned: success
  type: dict
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
ready:
  description: Whether all is done.
  returned: success
  type: bool
progress:
  description: How much is done, 0 to 100.
  returned: success
  type: int
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_service import ensure_snapshot
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_spec import (
    SNAPSHOT_ARGUMENTS,
    snapshot_request,
)


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Have the snapshot, not have it, or go back to it."""
    outcome = ensure_snapshot(
        host, snapshot_request(params), check_mode, params["lock_timeout_seconds"]
    )
    values = {
        "snapshot": outcome.snapshot,
        "ready": outcome.progress == 100,
        "progress": outcome.progress,
    }
    return Result(outcome.differences, values, always_changed=outcome.acted)


def main() -> None:
    """Entry point of the module."""
    run_module(SNAPSHOT_ARGUMENTS, ensure, required_one_of=[["id", "name"]])


if __name__ == "__main__":
    main()
