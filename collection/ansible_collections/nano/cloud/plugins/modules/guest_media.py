#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.guest_media."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_media
short_description: Insert an ISO into a guest's CD drive, or eject it
version_added: 1.0.0
description:
  - Changes the medium of a guest that runs at once, and that of its definition.
  - The drive that cloud-init reads is left alone.
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
    description: Whether a medium is in the drive.
    type: str
    choices: [inserted, ejected]
    default: inserted
  id:
    description: UUID of the guest. O(id) or O(name) is required.
    type: str
  name:
    description: Name of the guest. Ignored when O(id) is given.
    type: str
  image:
    description: Id of an ISO in O(image_pool), see M(nano.cloud.image). Required to insert it.
    type: str
  image_pool:
    description: Storage pool of the images.
    type: str
    default: nano-images
  replace:
    description: Whether another medium that is in the drive is taken out. Otherwise it is refused.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Insert an installation medium
  nano.cloud.guest_media:
    name: admin.web1
    image: debian-12-netinst

- name: Take it out
  nano.cloud.guest_media:
    name: admin.web1
    state: ejected
"""

RETURN = r"""
medium:
  description: Id of the image in the drive, or the path of what is no image; null for nothing.
  returned: success
  type: str
guest:
  description: The guest, as M(nano.cloud.guest_info) returns it.
  returned: success
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.media_service import ensure_medium
from ansible_collections.nano.cloud.plugins.module_utils.media_spec import (
    MEDIA_ARGUMENTS,
    media_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Have the medium in the drive, or nothing."""
    wait = params["lock_timeout_seconds"]
    outcome = ensure_medium(host, media_request(params), check_mode, wait)
    return Result(outcome.differences, {"medium": outcome.medium, "guest": outcome.guest})


def main() -> None:
    """Entry point of the module."""
    run_module(MEDIA_ARGUMENTS, ensure, required_one_of=[["id", "name"]])


if __name__ == "__main__":
    main()
