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
  addresses:
    description:
      - Also look for the addresses of guests that run, at their agents and in the leases of
        libvirt's own networks.
      - An agent tells what it likes. Do not take its word for who may do what.
    type: bool
    default: false
  addresses_wait_seconds:
    description: With O(addresses), how long to wait for the agents of all guests together.
    type: int
    default: 3
  statistics:
    description: Also return how busy each guest is and what it has read, written, received, sent.
    type: bool
    default: false
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

- name: See where guests can be reached and how busy they are
  nano.cloud.guest_info:
    addresses: true
    statistics: true
  register: busy
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
    medium:
      description: Id of the image in the CD drive, or the path of what is no image, or null.
      type: str
    network:
      description: The first network card with C(bridge), C(mac), C(model), C(link), or null.
      type: dict
    security_policy:
      description: Policy of the first network card, empty for none of ours.
      type: str
    cloud_init:
      description: Whether it has a medium for cloud-init. What that says is not told.
      type: bool
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
    addresses:
      description:
        - Addresses with C(address), C(mac) (empty when not known), C(source) (V(agent) or
          V(lease)), IPv4 first; loopback and link-local ones are left out.
        - Null without O(addresses), and where no agent answered in time.
      type: list
      elements: dict
    statistics:
      description:
        - Figures of this moment; null without O(statistics). What libvirt does not tell is null.
        - Counters begin with each start of the guest.
      type: dict
      contains:
        cpu_usage_percent:
          description: How busy the guest's own processors are, 0 to 100.
          type: float
        cpu_time_nanoseconds:
          description: What they have worked.
          type: int
        memory_available_bytes:
          description: What the guest's system could give to a program, by its balloon driver.
          type: int
        memory_resident_bytes:
          description: What the guest takes of the host's memory.
          type: int
        disk_read_bytes:
          description: Read from all disks.
          type: int
        disk_written_bytes:
          description: Written to all disks.
          type: int
        disk_read_requests:
          description: Number of reads of all disks.
          type: int
        disk_write_requests:
          description: Number of writes of all disks.
          type: int
        disk_available_bytes:
          description: What the files of all disks may still grow.
          type: int
        network_received_bytes:
          description: Received by all network cards.
          type: int
        network_sent_bytes:
          description: Sent by all network cards.
          type: int
        disks:
          description: The same of each disk and drive.
          type: list
          elements: dict
        network_cards:
          description: The same of each network card.
          type: list
          elements: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils import names
from ansible_collections.nano.cloud.plugins.module_utils.errors import InvalidInput
from ansible_collections.nano.cloud.plugins.module_utils.guest_details import (
    addresses_of,
    statistics_of,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_reader import read_guests
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import (
    NO_DIFFERENCES,
    Result,
    run_module,
)

ARGUMENTS: dict[str, dict[str, Any]] = {
    "id": {"type": "str"},
    "name": {"type": "str"},
    "addresses": {"type": "bool", "default": False},
    "addresses_wait_seconds": {"type": "int", "default": 3},
    "statistics": {"type": "bool", "default": False},
}


def ensure(params: Mapping[str, Any], host: LibvirtHost, _check_mode: bool) -> Result:
    """Read one guest, or all."""
    guest_id, name, wait = params["id"], params["name"], params["addresses_wait_seconds"]
    if wait < 0:
        field = "addresses_wait_seconds"
        raise InvalidInput(f"{field} must not be negative", field=field)
    guests = read_guests(
        host,
        None if guest_id is None else names.check_guest_id(guest_id),
        None if name is None else names.check_guest_name(name),
    )
    figures = statistics_of(host, guests) if params["statistics"] else {}
    addresses = addresses_of(host, guests, wait) if params["addresses"] else {}
    for guest in guests:
        guest["addresses"] = addresses.get(guest["id"])
        guest["statistics"] = figures.get(guest["id"])
    return Result(NO_DIFFERENCES, {"guests": guests})


def main() -> None:
    """Entry point of the module."""
    run_module(ARGUMENTS, ensure, read_only=True)


if __name__ == "__main__":
    main()
