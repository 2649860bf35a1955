#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.guest."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest
short_description: Manage a guest on a libvirt host
version_added: 1.0.0
description:
  - Creates a guest with its disks, changes it in place, or removes it with its disks.
  - A guest is never made anew to change it. A change that would lose data is refused.
  - An option that is left out keeps what the guest has; a new guest gets the default named there.
  - Changes are always written to the persistent definition, and made in the running guest where
    libvirt can do that simply. RV(restart_required) names what waits for the next start.
  - Elements of the definition that this module does not know stay as they are.
  - A creation that fails leaves nothing behind. One that was killed is completed, or removed, by
    the next run for the same guest.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.writer
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
  - nano.cloud.connection.lock
  - nano.cloud.guest
options:
  state:
    description: Whether the guest exists.
    type: str
    choices: [present, absent]
    default: present
  force:
    description: With O(state=absent), end a running guest first, as pulling the plug does.
    type: bool
    default: false
seealso:
  - module: nano.cloud.guest_info
  - module: nano.cloud.guest_power
  - module: nano.cloud.image
"""

EXAMPLES = r"""
- name: A guest whose system disk is made from an image
  nano.cloud.guest:
    name: admin.web1
    owner: admin
    group: admin
    cores: 2
    memory_bytes: "{{ 2 * 1024 ** 3 }}"
    disks:
      - size_bytes: "{{ 20 * 1024 ** 3 }}"
        image: debian-12
      - size_bytes: "{{ 50 * 1024 ** 3 }}"
    network:
      bridge: br0
    auto_start: true

- name: Give it more memory and a larger system disk
  nano.cloud.guest:
    name: admin.web1
    memory_bytes: 4294967296
    disks:
      - size_bytes: 42949672960
      - size_bytes: 53687091200

- name: Keep it from disturbing others
  nano.cloud.guest:
    name: admin.web1
    cpu_priority: low
    disk_limits:
      read_iops_sec: 500
      write_iops_sec: 500
    network_limits:
      receive_bytes_sec: 12500000
      send_bytes_sec: 12500000

- name: Ten guests at once
  nano.cloud.guest:
    cores: 1
    memory_bytes: 1073741824
    guests:
      - name: admin.node1
        disks: [{size_bytes: 10737418240, image: debian-12}]
      - name: admin.node2
        disks: [{size_bytes: 10737418240, image: debian-12}]

- name: A guest for a system that wants UEFI with secure boot and a TPM
  nano.cloud.guest:
    name: admin.desktop1
    cores: 4
    memory_bytes: 8589934592
    disks:
      - size_bytes: 68719476736
    disk_bus: sata
    firmware: uefi
    secure_boot: true
    tpm: true
    security_policy: desktops

- name: A guest that sets itself up at its first start
  nano.cloud.guest:
    name: admin.web2
    cores: 2
    memory_bytes: 2147483648
    disks:
      - size_bytes: 21474836480
        image: debian-12
      - size_bytes: 53687091200
    cloud_init:
      hostname: web2
      users:
        - name: debian
          password: "{{ web2_password }}"
          ssh_keys: ["{{ lookup('file', '~/.ssh/id_ed25519.pub') }}"]
          sudo: true
      network:
        addresses: [192.0.2.7/24]
        gateways: [192.0.2.1]
        dns: [192.0.2.53]
      data_path: /srv

- name: Remove it, even if it runs
  nano.cloud.guest:
    name: admin.web1
    state: absent
    force: true
"""

RETURN = r"""
guest:
  description:
    - The guest, as M(nano.cloud.guest_info) returns it; null when there is none.
    - In check mode the guest as it is, or, where it would be created, as it would be.
  returned: success
  type: dict
created:
  description: Whether the guest was created, or completed.
  returned: success
  type: bool
restart_required:
  description: Options whose new value waits for the guest's next start.
  returned: success
  type: list
  elements: str
  sample: [cores, memory_bytes]
results:
  description:
    - What came of each of O(guests), in their order, with C(index), C(id), C(name), C(changed),
      C(failed), C(error) (C(code), C(message)), and the return values for one guest.
  returned: when O(guests) was given
  type: list
  elements: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.guest_batch import OneDone, run_batch
from ansible_collections.nano.cloud.plugins.module_utils.guest_service import (
    ensure_absent,
    ensure_present,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import (
    GUEST_MODULE_ARGUMENTS,
    guest_entries,
    guest_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Make the guest, or each of many, what the options say."""

    def one(options: Mapping[str, Any]) -> OneDone:
        request, wait = guest_request(options), params["lock_timeout_seconds"]
        if params["state"] == "present":
            outcome = ensure_present(host, request, check_mode, wait)
        else:
            outcome = ensure_absent(host, request, params["force"], check_mode, wait)
        values = {
            "guest": outcome.guest,
            "created": outcome.created,
            "restart_required": outcome.restart_required,
        }
        return OneDone(outcome.differences, values, outcome.differences.changed, outcome.warnings)

    if params["guests"] is None:
        done = one(params)
        return Result(done.differences, done.values, done.warnings)
    # One after the other: making a guest is quick, and each sees the space that the last one took.
    outcome = run_batch(guest_entries(params), one, at_once=1)
    return Result(outcome.differences, {"results": outcome.results}, outcome.warnings)


def main() -> None:
    """Entry point of the module."""
    run_module(
        GUEST_MODULE_ARGUMENTS,
        ensure,
        required_one_of=[["id", "name", "guests"]],
        mutually_exclusive=[["id", "guests"], ["name", "guests"]],
    )


if __name__ == "__main__":
    main()
