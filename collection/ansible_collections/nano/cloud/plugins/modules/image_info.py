#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.image_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_info
short_description: List the images of a cell
version_added: 1.0.0
description:
  - Tells what is in the cell's cache of images, and what depends on it.
  - An image that something depends on is not removed by M(nano.cloud.image).
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.reader
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
options:
  id:
    description: Id of one image. Otherwise all are told.
    type: str
  pool:
    description: Storage pool of the images.
    type: str
    default: nano-images
seealso:
  - module: nano.cloud.image
  - module: nano.cloud.image_capture
"""

EXAMPLES = r"""
- name: List the images
  nano.cloud.image_info:
  register: found

- name: Remove those that nothing depends on
  nano.cloud.image:
    id: "{{ item.id }}"
    format: "{{ item.format }}"
    state: absent
  loop: "{{ found.images | selectattr('dependents', 'equalto', []) }}"
  loop_control:
    label: "{{ item.id }}"
"""

RETURN = r"""
images:
  description: The images by id; an empty list when there is none.
  returned: success
  type: list
  elements: dict
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
      description: Whether it can be used; of images that are listed always V(true).
      type: bool
    size_bytes:
      description: Size of the file.
      type: int
    virtual_size_bytes:
      description: Size of the disk inside.
      type: int
    checksum:
      description: Checksum as C(ALGORITHM:HEX), or null when none has been computed of this file.
      type: str
    dependents:
      description: Paths of volumes that are laid over it, and names of guests that use it.
      type: list
      elements: str
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils import constants, names
from ansible_collections.nano.cloud.plugins.module_utils.image_reader import read_images
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import (
    NO_DIFFERENCES,
    Result,
    run_module,
)

ARGUMENTS: dict[str, dict[str, Any]] = {
    "id": {"type": "str"},
    "pool": {"type": "str", "default": constants.DEFAULT_IMAGE_POOL},
}


def ensure(params: Mapping[str, Any], host: LibvirtHost, _check_mode: bool) -> Result:
    """Read the images."""
    image_id = params["id"]
    if image_id is not None:
        names.check_image_id(image_id)
    pool = names.check_pool_name(params["pool"])
    return Result(NO_DIFFERENCES, {"images": read_images(host, pool, image_id)})


def main() -> None:
    """Entry point of the module."""
    run_module(ARGUMENTS, ensure, read_only=True)


if __name__ == "__main__":
    main()
