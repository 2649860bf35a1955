#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.guest_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_info
short_description: Read guests of a libvirt host
version_added: 1.0.0
description:
  - Returns one guest, or all of a host, in the words of M(nano.cloud.guest).
  - Guests that other tools made are returned too, with RV(guests[].managed) false.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.reader
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
options:
  id:
    description: UUID of the guest. Without O(id) and O(name) all guests are returned.
    type: str
  name:
    description: Name of the guest. Ignored when O(id) is given.
    type: str
seealso:
  - module: nano.cloud.guest
"""

EXAMPLES = r"""
- name: Read all guests
  nano.cloud.guest_info:
  register: found

- name: Read one guest
  nano.cloud.guest_info:
    name: admin.web1
  register: web
"""

RETURN = r"""
guests:
  description: The guests, sorted by name; an empty list when there is none.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: UUID.
      type: str
    name:
      description: Name.
      type: str
    owner:
      description: Owner, from our metadata.
      type: str
    group:
      description: Group, from our metadata.
      type: str
    template:
      description: Template that it was made from, from our metadata.
      type: str
    state:
      description: >-
        V(running), V(stopped), V(paused), V(stopping), V(crashed), V(suspended) or V(unknown).
      type: str
    cores:
      description: Number of virtual processors.
      type: int
    memory_bytes:
      description: Memory.
      type: int
    disks:
      description: Hard disks, the system disk first. What cannot be found out is null.
      type: list
      elements: dict
      contains:
        number:
          description:
            - What M(nano.cloud.guest_disk) calls it. V(0) is the system disk.
            - Null of disks that were not made by this collection.
          type: int
        path:
          description: File on the host.
          type: str
        size_bytes:
          description: What the guest sees.
          type: int
        allocated_bytes:
          description: What the file takes.
          type: int
        image:
          description: Id of the image that it was made from, or null.
          type: str
    network:
      description: The first network card with C(bridge), C(mac), C(model), C(link), or null.
      type: dict
    security_policy:
      description: Policy of the first network card, empty for none of ours.
      type: str
    firmware:
      description: V(bios) or V(uefi).
      type: str
    secure_boot:
      description: Whether UEFI starts only what is signed.
      type: bool
    tpm:
      description: Whether there is a TPM.
      type: bool
    disk_bus:
      description: Bus of the disks.
      type: str
    video:
      description: Video card.
      type: str
    usb:
      description: USB controller, empty for libvirt's own choice.
      type: str
    tablet:
      description: Bus of the tablet, empty for none.
      type: str
    agent:
      description: Whether there is a channel to the guest agent.
      type: bool
    serial_log:
      description: Whether the serial console is logged to a file.
      type: bool
    display:
      description:
        - The display with C(protocol), C(listen) and C(port).
        - C(port) is the actual one while the guest runs, else the one that is set, or null.
      type: dict
    cpu_priority:
      description: V(high), V(medium) or V(low); empty when none of these is set.
      type: str
    disk_limits:
      description: What the first disk may do in a second, as in M(nano.cloud.guest).
      type: dict
    network_limits:
      description: What the network card may do in a second, as in M(nano.cloud.guest).
      type: dict
    auto_start:
      description: Whether it starts with the host.
      type: bool
    domain_type:
      description: V(kvm) or V(qemu).
      type: str
    managed:
      description: Whether it carries our metadata.
      type: bool
    incomplete:
      description: Whether its creation or removal was interrupted, and has to be run again.
      type: bool
    restart_required:
      description: Options whose new value waits for the guest's next start.
      type: list
      elements: str
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils import names
from ansible_collections.nano.cloud.plugins.module_utils.guest_reader import read_guests
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import (
    NO_DIFFERENCES,
    Result,
    run_module,
)

ARGUMENTS = {"id": {"type": "str"}, "name": {"type": "str"}}


def ensure(params: Mapping[str, Any], host: LibvirtHost, _check_mode: bool) -> Result:
    """Read one guest, or all."""
    guest_id, name = params["id"], params["name"]
    guests = read_guests(
        host,
        None if guest_id is None else names.check_guest_id(guest_id),
        None if name is None else names.check_guest_name(name),
    )
    return Result(NO_DIFFERENCES, {"guests": guests})


def main() -> None:
    """Entry point of the module."""
    run_module(ARGUMENTS, ensure, read_only=True)


if __name__ == "__main__":
    main()
