#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image
short_description: Keep an image in a libvirt host's cache
version_added: 1.0.0
description:
  - Fetches an image by URL into a storage pool of the host, verifies its checksum and inspects it
    before anything can use it. The image must be what it was declared to be, without a backing
    file or an external data file, and not too large.
  - A fetch that was broken off goes on where it ended.
  - An image that guests depend on is not removed. When one is removed that is being made of a
    guest, or sent to the service, that is ended.
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
  state:
    description: Whether the image is in the cache.
    type: str
    choices: [present, absent]
    default: present
  id:
    description: Id of the image; also the name of its file without the suffix.
    type: str
    required: true
  url:
    description:
      - Where to fetch the image, with C(http), C(https) or C(file). Required while it is not there.
      - A C(file) URL names a file on the host that the module runs on.
    type: str
  bearer_token:
    description: Sent to the server as C(Authorization), not to servers that it redirects to.
    type: str
  ca_certificate:
    description: Certificates in PEM to trust for C(https), beside the authorities of the host.
    type: str
  checksum:
    description:
      - Expected checksum as C(ALGORITHM:HEX) with C(sha256), C(sha512) or C(sha1).
      - A file with another checksum is deleted.
    type: str
  format:
    description: What the image is. It is never guessed.
    type: str
    choices: [qcow2, raw, iso]
    default: qcow2
  pool:
    description: Storage pool of the cache.
    type: str
    default: nano-images
  max_virtual_size_bytes:
    description: Refuse an image whose disk would be larger.
    type: int
  wait_seconds:
    description:
      - Return after about that time although the image is not complete, with
        RV(image.ready) false; the next run goes on. V(0) waits until it is complete.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Fetch an image, showing progress
  nano.cloud.image:
    id: debian-12
    url: https://images.example.org/debian-12.qcow2
    checksum: sha256:d2a84f4b8b650937ec8f73cd8be2c74add5a911ba64df27458ed8229da804a26
    wait_seconds: 2
  register: result
  until: result.image.ready
  retries: 1800
  delay: 0

- name: Remove an image
  nano.cloud.image:
    id: debian-11
    state: absent
"""

RETURN = r"""
image:
  description: The image, or null when it has been removed. What is not known yet is null.
  returned: success
  type: dict
  contains:
    id:
      description: Id.
      type: str
    path:
      description: File on the host.
      type: str
    format:
      description: V(qcow2), V(raw) or V(iso).
      type: str
    ready:
      description: Whether it is complete, verified and inspected.
      type: bool
    size_bytes:
      description: Size of the file.
      type: int
    virtual_size_bytes:
      description: Size of the disk in it.
      type: int
    checksum:
      description: Checksum of the file.
      type: str
    dependents:
      description: Paths of volumes that have it beneath them, and guests that use it directly.
      type: list
      elements: str
progress:
  description: How much is there, 0 to 100.
  returned: success
  type: int
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.image_service import (
    ensure_image_absent,
    ensure_image_present,
)
from ansible_collections.nano.cloud.plugins.module_utils.image_spec import (
    IMAGE_ARGUMENTS,
    image_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Have the image, or not."""
    handler = ensure_image_present if params["state"] == "present" else ensure_image_absent
    outcome = handler(host, image_request(params), check_mode, params["lock_timeout_seconds"])
    return Result(outcome.differences, {"image": outcome.image, "progress": outcome.progress})


def main() -> None:
    """Entry point of the module."""
    run_module(IMAGE_ARGUMENTS, ensure)


if __name__ == "__main__":
    main()
