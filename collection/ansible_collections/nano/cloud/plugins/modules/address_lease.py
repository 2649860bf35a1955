#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.address_lease."""

from __future__ import annotations

DOCUMENTATION = r"""
module: address_lease
short_description: Give network cards fixed addresses by DHCP on a host's bridges
version_added: 1.0.0
description:
  - The host answers by DHCP on a bridge, and only the cards that have a lease here. Others are not
    answered, so that another DHCP server on the network can serve them.
  - There is one C(dnsmasq) for each bridge with leases, C(nano-dhcp@BRIDGE), which the role C(cell)
    prepares. A bridge needs no address in the guests' networks.
  - Leases that are not named stay. A change starts the server of its bridge anew, for which a card
    that asks at that moment asks again; addresses that were given stay.
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
    description: Whether the leases exist.
    type: str
    choices: [present, absent]
    default: present
  leases:
    description: The leases. With O(state=absent) only O(leases[].mac) counts.
    type: list
    elements: dict
    required: true
    suboptions:
      mac:
        description: MAC address of the card.
        type: str
        required: true
      address:
        description:
          - Address and size of its network, such as V(192.0.2.7/24). Required with
            O(state=present).
        type: str
      gateway:
        description: Default gateway. By default none.
        type: str
      dns:
        description: Addresses of name servers. By default none.
        type: list
        elements: str
      bridge:
        description: Bridge that the card is on.
        type: str
        default: br0
notes:
  - Of several DHCP servers on one network that know a card, the fastest wins. Give guests with
    leases a network where no other server answers everybody.
"""

EXAMPLES = r"""
- name: Addresses for two guests
  nano.cloud.address_lease:
    leases:
      - mac: 00:16:3e:12:34:56
        address: 192.0.2.7/24
        gateway: 192.0.2.1
        dns: [192.0.2.53]
      - mac: 00:16:3e:12:34:57
        address: 198.51.100.9/25
        gateway: 198.51.100.1

- name: Take one back
  nano.cloud.address_lease:
    state: absent
    leases:
      - mac: 00:16:3e:12:34:57
"""

RETURN = r"""
leases:
  description:
    - All leases of the host, with C(mac), C(bridge), C(address), C(gateway), C(dns); in check mode
      as they are.
  returned: success
  type: list
  elements: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.errors import Unsupported
from ansible_collections.nano.cloud.plugins.module_utils.lease_service import (
    DIRECTORY,
    DhcpServices,
    LeaseService,
)
from ansible_collections.nano.cloud.plugins.module_utils.lease_spec import (
    LEASE_ARGUMENTS,
    lease_values,
    leases_asked_for,
    macs_to_forget,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Have the leases, or not."""
    if not host.is_local_hypervisor:
        raise Unsupported(f"leases are files of the host itself, which {host.uri} does not reach")
    with open("/etc/machine-id", encoding="utf-8") as file:
        service = LeaseService(DIRECTORY, DhcpServices(), file.read().strip())
    wait = params["lock_timeout_seconds"]
    if params["state"] == "present":
        outcome = service.ensure_present(leases_asked_for(params), check_mode, wait)
    else:
        outcome = service.ensure_absent(macs_to_forget(params), check_mode, wait)
    leases = [lease_values(lease) for lease in outcome.leases]
    return Result(outcome.differences, {"leases": leases})


def main() -> None:
    """Entry point of the module."""
    run_module(LEASE_ARGUMENTS, ensure)


if __name__ == "__main__":
    main()
