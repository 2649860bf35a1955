#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.image_upload."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_upload
short_description: Send a cell's image to the store of the service
version_added: 1.0.0
description:
  - Sends the file of an image that is in the cell's cache to the service, which examines it and
    offers it to all cells.
  - It is sent by a process of its own, which goes on when the module has ended.
  - A file that the store has already is not sent again.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.writer
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
  - nano.cloud.connection.lock
options:
  id:
    description: Id of the image in the cache.
    type: str
    required: true
  url:
    description: Where the store takes the file of this image.
    type: str
    required: true
  bearer_token:
    description: What the store lets it in by.
    type: str
    required: true
  ca_certificate:
    description: A certificate in PEM that the server's is checked against, beside the host's own.
    type: str
  format:
    description: What the image is.
    type: str
    choices: [qcow2, raw, iso]
    default: qcow2
  pool:
    description: Storage pool of the images.
    type: str
    default: nano-images
  wait_seconds:
    description:
      - Return after about that time although not all is sent, with RV(ready) false. The next run
        waits on. V(0) waits until all is done.
    type: int
    default: 0
seealso:
  - module: nano.cloud.image
  - module: nano.cloud.image_capture
"""

EXAMPLES = r"""
- name: Send an image to the service
  nano.cloud.image_upload:
    id: web-2026
    url: https://cloud.example.org:5870/api/v1/disk_images/3f1c/file/
    bearer_token: "{{ ticket }}"
"""

RETURN = r"""
image:
  description: The image, as M(nano.cloud.image) returns it.
  returned: success
  type: dict
ready:
  description: Whether the store has all of it.
  returned: success
  type: bool
progress:
  description: How much is done, 0 to 100.
  returned: success
  type: int
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.image_upload_service import (
    ensure_uploaded,
)
from ansible_collections.nano.cloud.plugins.module_utils.image_upload_spec import (
    UPLOAD_ARGUMENTS,
    upload_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Have the file in the store."""
    wait = params["lock_timeout_seconds"]
    outcome = ensure_uploaded(host, upload_request(params), check_mode, wait)
    values = {
        "image": outcome.image,
        "ready": outcome.progress == 100,
        "progress": outcome.progress,
    }
    return Result(outcome.differences, values)


def main() -> None:
    """Entry point of the module."""
    run_module(UPLOAD_ARGUMENTS, ensure)


if __name__ == "__main__":
    main()
