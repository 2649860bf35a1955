#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.guest_auth."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_auth
short_description: Set the password of a user inside a running guest
version_added: 1.0.0
description:
  - QEMU's guest agent sets the password, so the guest must run and have the agent.
  - Nothing is read back. Whether the password was the same before cannot be told, so each run
    counts as a change.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.writer
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
  - nano.cloud.connection.lock
attributes:
  idempotent:
    description: A second run with the same options changes nothing.
    support: none
    details: Nobody can tell whether the password was the same before.
options:
  id:
    description: UUID of the guest. Either O(id) or O(name) is required.
    type: str
  name:
    description: Name of the guest. Ignored when O(id) is given.
    type: str
  user:
    description: The user, who must exist in the guest.
    type: str
    required: true
  password:
    description: The new password. It appears in no log and no diff.
    type: str
    required: true
  encrypted:
    description: Whether O(password) is hashed already, as the guest's own system does it.
    type: bool
    default: false
  timeout_seconds:
    description: How long a guest that has just been started may take until its agent answers.
    type: int
    default: 10
seealso:
  - module: nano.cloud.guest
"""

EXAMPLES = r"""
- name: Set the administrator's password
  nano.cloud.guest_auth:
    name: admin.web1
    user: root
    password: "{{ new_password }}"
  vars:
    new_password: "{{ lookup('ansible.builtin.password', '/dev/null', length=20) }}"
"""

RETURN = r"""
user:
  description: Whose password was set.
  returned: success
  type: str
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.guest_auth_service import set_password
from ansible_collections.nano.cloud.plugins.module_utils.guest_auth_spec import (
    AUTH_ARGUMENTS,
    auth_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Set the password."""
    request = auth_request(params)
    differences = set_password(host, request, check_mode, params["lock_timeout_seconds"])
    return Result(differences, {"user": request.user})


def main() -> None:
    """Entry point of the module."""
    run_module(AUTH_ARGUMENTS, ensure, required_one_of=[["id", "name"]])


if __name__ == "__main__":
    main()
