#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.guest_migrate."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_migrate
short_description: Move a guest to another libvirt host
version_added: 1.0.0
description:
  - Runs on the host that has the guest, and moves it to O(target) with its definition, automatic
    start, security policy and, where the hosts do not share them, its disks.
  - A running guest moves live, a stopped one cold. What cannot work is refused before anything
    begins, by name.
  - The guest is on one of the hosts at every moment, and runs on one at most. After a failure it
    is where it was.
  - The migration goes on when the module returns early or the connection to the host is lost; the
    next run waits for it again.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.writer
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
  - nano.cloud.connection.lock
requirements:
  - root of the host logs in to root of the target by ssh with a key; the role C(cell) sees to it
options:
  state:
    description:
      - V(migrated) has the guest on the target.
      - V(canceled) ends a migration that goes on; the guest stays where it is.
    type: str
    choices: [migrated, canceled]
    default: migrated
  id:
    description: UUID of the guest. O(id) or O(name) is required.
    type: str
  name:
    description: Name of the guest. Ignored when O(id) is given.
    type: str
  target:
    description: Name or address of the host to move to, as this host's root reaches it by ssh.
    type: str
    required: true
  target_uri:
    description: The target's libvirt. By default C(qemu+ssh://root@TARGET/system).
    type: str
  mode:
    description:
      - V(auto) copies the disks that are not on storage that both hosts have, which it knows by
        the type and the source of the pools.
      - V(shared) says that both hosts have all disks under the same paths.
      - V(copy) insists on copying.
      - V(cold) insists on a stopped guest.
    type: str
    choices: [auto, shared, copy, cold]
    default: auto
  display_port:
    description: Port of the guest's display on the target. By default the same as here.
    type: int
  bandwidth_bytes_sec:
    description: How much a live migration may send in a second; V(0) is unlimited.
    type: int
    default: 0
  wait_seconds:
    description:
      - Return after about that time although it goes on, with RV(migration.ready) false.
        V(0) waits until the end.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Move a guest, showing progress
  nano.cloud.guest_migrate:
    name: admin.web1
    target: cell2
    wait_seconds: 2
  register: result
  until: result.migration.ready
  retries: 1800
  delay: 0

- name: Let it stay after all
  nano.cloud.guest_migrate:
    name: admin.web1
    target: cell2
    state: canceled
"""

RETURN = r"""
migration:
  description: How far it is.
  returned: success
  type: dict
  contains:
    ready:
      description: Whether the guest is on the target.
      type: bool
    percent:
      description: How much has been sent, 0 to 100.
      type: int
    target:
      description: Where it goes.
      type: str
    mode:
      description: V(live) or V(cold); null when nothing had to be done.
      type: str
    storage:
      description: V(shared) or V(copied); null when nothing had to be done.
      type: str
progress:
  description: The same as RV(migration.percent).
  returned: success
  type: int
guest:
  description: The guest where it is, as M(nano.cloud.guest_info) returns it; null on its way.
  returned: success
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.migration_service import (
    ensure_canceled,
    ensure_migrated,
)
from ansible_collections.nano.cloud.plugins.module_utils.migration_spec import (
    MIGRATE_ARGUMENTS,
    migrate_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Move the guest, or end its way."""
    handler = ensure_migrated if params["state"] == "migrated" else ensure_canceled
    outcome = handler(host, migrate_request(params), check_mode)
    values = {
        "migration": outcome.migration,
        "progress": outcome.migration["percent"],
        "guest": outcome.guest,
    }
    return Result(outcome.differences, values)


def main() -> None:
    """Entry point of the module."""
    run_module(MIGRATE_ARGUMENTS, ensure, required_one_of=[["id", "name"]])


if __name__ == "__main__":
    main()
