#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.guest_definition."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_definition
short_description: Define a guest again that libvirt has forgotten
version_added: 1.0.0
description:
  - Gives libvirt back the definition of a guest that was undefined while its disks are still there.
  - A guest that is there is never changed; use M(nano.cloud.guest) for that.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.writer
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
  - nano.cloud.connection.lock
options:
  xml:
    description:
      - Domain XML with uuid and name, as C(virsh dumpxml --inactive) printed it.
      - Passwords are not in it; give the display a new one with M(nano.cloud.guest).
    type: str
    required: true
seealso:
  - module: nano.cloud.guest
"""

EXAMPLES = r"""
- name: Define a guest again
  nano.cloud.guest_definition:
    xml: "{{ lookup('ansible.builtin.file', 'web1.xml') }}"
"""

RETURN = r"""
guest:
  description: The guest, as M(nano.cloud.guest_info) returns it; empty in check mode.
  returned: success
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.constants import (
    DEFAULT_LOCK_TIMEOUT_SECONDS,
)
from ansible_collections.nano.cloud.plugins.module_utils.definition_service import ensure_defined
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module

ARGUMENTS: dict[str, dict[str, Any]] = {
    "xml": {"type": "str", "required": True},
    "lock_timeout_seconds": {"type": "int", "default": DEFAULT_LOCK_TIMEOUT_SECONDS},
}


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Have the guest defined."""
    outcome = ensure_defined(host, params["xml"], check_mode, params["lock_timeout_seconds"])
    return Result(outcome.differences, {"guest": outcome.guest})


def main() -> None:
    """Entry point of the module."""
    run_module(ARGUMENTS, ensure)


if __name__ == "__main__":
    main()
