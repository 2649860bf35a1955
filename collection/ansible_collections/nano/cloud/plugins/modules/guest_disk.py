#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.guest_disk."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_disk
short_description: Grow, compact, reset, attach or detach a disk of a guest
version_added: 1.0.0
description:
  - Looks after one disk of a guest that exists. All disks at once are described with
    M(nano.cloud.guest).
  - What reaches a running guest is changed there and in its definition.
  - A disk is never replaced to change it, except by O(state=reset), which says so.
  - Rewriting a disk's file goes on when the module has ended, or its connection is lost. Until the
    new file is whole the old one stays in place. A run that was killed leaves the disk as it was.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.writer
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
  - nano.cloud.connection.lock
requirements:
  - qemu-img on the host (package C(qemu-utils) or C(qemu-img)) to compact and to reset
options:
  id:
    description: UUID of the guest. Either O(id) or O(name) is required.
    type: str
  name:
    description: Name of the guest. Ignored when O(id) is given.
    type: str
  disk:
    description:
      - Number of the disk, C(number) among the disks that M(nano.cloud.guest_info) tells.
      - V(0) is the system disk. Others keep their number when disks before them are detached.
    type: int
    required: true
  state:
    description:
      - V(present) attaches the disk when the guest has none of that number, and grows it to
        O(size_bytes). The guest may run.
      - V(absent) detaches a data disk, also from a running guest. Its volume is kept, and is
        attached again by V(present), unless O(delete_volume) is set.
      - V(compacted) rewrites the file of a stopped guest's disk without what is zero in it. What
        the guest sees stays as it is. Snapshots and the image below it stay where they are.
      - V(reset) makes the system disk of a stopped guest what O(image) is. What was on it is lost.
        It keeps its size. It is refused while snapshots have a state of it.
      - A disk that nobody has written to since it was compacted, or reset from that image, is left
        alone.
    type: str
    choices: [present, absent, compacted, reset]
    default: present
  size_bytes:
    description:
      - With O(state=present), the size. Required for a disk that has to be made.
      - Disks only grow. A smaller size than the disk has is refused.
    type: int
  image:
    description: With O(state=reset), the id of an image in O(image_pool), see M(nano.cloud.image).
    type: str
  image_pool:
    description: Storage pool of the images.
    type: str
    default: nano-images
  full_copy:
    description:
      - With O(state=reset), whether the disk gets a copy of the image. Otherwise it is a layer over
        it, which is made at once.
    type: bool
    default: false
  delete_volume:
    description: With O(state=absent), whether the disk's data is deleted.
    type: bool
    default: false
  timeout_seconds:
    description: How long a running guest may take to let go of a disk.
    type: int
    default: 30
  wait_seconds:
    description:
      - With O(state=compacted) and O(state=reset), return after about that time although not all is
        done, with RV(ready) false. The next run waits on.
      - V(0) waits until all is done.
    type: int
    default: 0
seealso:
  - module: nano.cloud.guest
  - module: nano.cloud.snapshot
"""

EXAMPLES = r"""
- name: Grow the system disk, whether the guest runs or not
  nano.cloud.guest_disk:
    name: admin.web1
    disk: 0
    size_bytes: "{{ 20 * 1024 ** 3 }}"

- name: Attach a data disk
  nano.cloud.guest_disk:
    name: admin.web1
    disk: 1
    size_bytes: "{{ 50 * 1024 ** 3 }}"

- name: Detach it and delete what is on it
  nano.cloud.guest_disk:
    name: admin.web1
    disk: 1
    state: absent
    delete_volume: true

- name: Give back the space that the guest does not use, showing progress
  nano.cloud.guest_disk:
    name: admin.web1
    disk: 0
    state: compacted
    wait_seconds: 2
  register: result
  until: result is failed or result.ready
  retries: 100000
  delay: 0

- name: Begin anew with another system
  nano.cloud.guest_disk:
    name: admin.web1
    disk: 0
    state: reset
    image: debian-13
"""

RETURN = r"""
guest:
  description: The guest, as M(nano.cloud.guest_info) returns it.
  returned: success
  type: dict
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

from ansible_collections.nano.cloud.plugins.module_utils.guest_disk_service import ensure_disk
from ansible_collections.nano.cloud.plugins.module_utils.guest_disk_spec import (
    DISK_ARGUMENTS,
    disk_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Make the disk what the options say."""
    outcome = ensure_disk(host, disk_request(params), check_mode, params["lock_timeout_seconds"])
    values = {
        "guest": outcome.guest,
        "ready": outcome.progress == 100,
        "progress": outcome.progress,
    }
    return Result(outcome.differences, values, outcome.warnings)


def main() -> None:
    """Entry point of the module."""
    run_module(DISK_ARGUMENTS, ensure, required_one_of=[["id", "name"]])


if __name__ == "__main__":
    main()
