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
  - What would make other volumes of a pool's volumes (its type, path, host, source) is refused.
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
    description:
      - Kind of the pool. The kind of an existing pool cannot be changed.
      - V(nfs) and V(glusterfs) mount what a server exports; cells that mount the same see the same
        volumes. V(logical) uses an LVM volume group that exists. V(rbd) is a pool of Ceph's, for
        which libvirt must have the secret O(secret_uuid).
      - When omitted, that of the existing pool, or V(dir).
    type: str
    choices: [dir, nfs, glusterfs, logical, rbd]
  path:
    description:
      - Directory of the pool. Required to create one of O(type=dir).
      - Where O(type=nfs) and O(type=glusterfs) are mounted; by default a directory of the pool's
        name in C(/var/lib/libvirt/storage).
      - The path of an existing pool cannot be changed.
    type: path
  host:
    description: The server's name or address. Required to create O(type=nfs), O(type=glusterfs).
    type: str
  source:
    description:
      - The exported path of an NFS server, the name of a GlusterFS volume, of an LVM volume group
        or of a Ceph pool. Required to create any of them.
    type: str
  mount_options:
    description:
      - Options of C(mount), one an entry, for O(type=nfs) and O(type=glusterfs).
      - When they change, the pool has them from its next start on.
    type: list
    elements: str
  monitors:
    description: Ceph's monitors, each C(HOST) or C(HOST:PORT). Required to create O(type=rbd).
    type: list
    elements: str
  ceph_user:
    description: Ceph's user; V(admin) when omitted.
    type: str
  secret_uuid:
    description: UUID of the secret in libvirt that has the key of O(ceph_user).
    type: str
  mode:
    description:
      - Mode of the pool's directory in octal, such as V('0711'). For V(nfs) and V(glusterfs) of
        what is mounted, as long as the pool is active.
    type: raw
  owner:
    description: User, or its number, that owns the pool's directory.
    type: str
  group:
    description: Group, or its number, of the pool's directory.
    type: str
  autostart:
    description: Whether libvirt starts the pool with the host.
    type: bool
    default: true
  active:
    description: Whether the pool is started.
    type: bool
    default: true
  force:
    description:
      - With O(state=absent), remove a pool although it has volumes, or guests of this host use it.
      - Of a pool on shared storage only guests count; its volumes may be other hosts'.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: A pool for the guests' disks
  nano.cloud.storage_pool:
    name: default
    path: /var/lib/libvirt/images

- name: A pool on an NFS server, shared by all cells that have it
  nano.cloud.storage_pool:
    name: shared
    type: nfs
    host: nas.example.org
    source: /export/guests
    mount_options: [nfsvers=4.2, hard]

- name: The same on a GlusterFS
  nano.cloud.storage_pool:
    name: shared
    type: glusterfs
    host: gluster1.example.org
    source: guests
    mount_options: [backup-volfile-servers=gluster2.example.org]

- name: A pool in an LVM volume group
  nano.cloud.storage_pool:
    name: fast
    type: logical
    source: vg_guests

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
    host:
      description: Server, of V(nfs) and V(glusterfs).
      type: str
    source:
      description: What is used there.
      type: str
    mount_options:
      description: Options of its mount.
      type: list
      elements: str
    monitors:
      description: Ceph's monitors, of V(rbd).
      type: list
      elements: str
    shared:
      description: Whether other hosts can see the same volumes.
      type: bool
    state:
      description:
        - V(active), V(inactive), V(inaccessible) when what a server exports is no longer mounted,
          or what else libvirt says.
        - O(state=present) mounts it again.
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
