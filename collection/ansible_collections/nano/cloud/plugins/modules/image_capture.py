#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.image_capture."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_capture
short_description: Make an image from a guest's disk
version_added: 1.0.0
description:
  - Makes an image in the cell's cache from a disk of a stopped guest, or from the state of a disk
    in a snapshot of a guest that may run. Other guests on this cell can be made from it at once.
  - The image stands alone. What the disk is laid over is copied into it, what is zero is left out.
  - It is written by a process of its own, which goes on when the module has ended. While it is
    written the guest is not started, stopped or changed.
  - An image of that id that is there already is left alone.
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
    description: Id of the new image; also the name of its file without the suffix.
    type: str
    required: true
  guest_id:
    description: UUID of the guest. Either O(guest_id) or O(guest_name) is required.
    type: str
  guest_name:
    description: Name of the guest. Ignored when O(guest_id) is given.
    type: str
  disk:
    description:
      - Number of the disk, C(number) among the disks that M(nano.cloud.guest_info) tells.
      - V(0) is the system disk.
    type: int
    default: 0
  snapshot:
    description: Name of a snapshot of the guest. Otherwise the disk is taken as it is now.
    type: str
  format:
    description: What the image becomes.
    type: str
    choices: [qcow2, raw]
    default: qcow2
  compress:
    description: Whether the image is compressed, which takes time. With O(format=qcow2) only.
    type: bool
    default: false
  pool:
    description: Storage pool of the images.
    type: str
    default: nano-images
  wait_seconds:
    description:
      - Return after about that time although not all is done, with RV(image.ready) false. The next
        run waits on. V(0) waits until all is done.
    type: int
    default: 0
seealso:
  - module: nano.cloud.image
  - module: nano.cloud.image_info
  - module: nano.cloud.image_upload
"""

EXAMPLES = r"""
- name: Make an image of a guest's system, showing progress
  nano.cloud.image_capture:
    id: web-2026
    guest_name: admin.web1
    compress: true
    wait_seconds: 2
  register: result
  until: result is failed or result.image.ready
  retries: 100000
  delay: 0

- name: Make one of a running guest, as it was at a snapshot
  nano.cloud.image_capture:
    id: web-before
    guest_name: admin.web1
    snapshot: before-upgrade
"""

RETURN = r"""
image:
  description: The image, as M(nano.cloud.image) returns it.
  returned: success
  type: dict
progress:
  description: How much is done, 0 to 100.
  returned: success
  type: int
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.image_capture_service import (
    ensure_captured,
)
from ansible_collections.nano.cloud.plugins.module_utils.image_capture_spec import (
    CAPTURE_ARGUMENTS,
    capture_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Have the image."""
    wait = params["lock_timeout_seconds"]
    outcome = ensure_captured(host, capture_request(params), check_mode, wait)
    return Result(outcome.differences, {"image": outcome.image, "progress": outcome.progress})


def main() -> None:
    """Entry point of the module."""
    run_module(CAPTURE_ARGUMENTS, ensure, required_one_of=[["guest_id", "guest_name"]])


if __name__ == "__main__":
    main()
