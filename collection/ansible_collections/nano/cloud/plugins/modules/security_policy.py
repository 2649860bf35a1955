#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.security_policy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: security_policy
short_description: Manage a security policy of guests
version_added: 1.0.0
description:
  - A security policy says which packets reach the guests that have it, by the option
    C(security_policy) of M(nano.cloud.guest). It is a network filter of libvirt, C(nano-NAME).
  - What a guest sends, and the answers to it, always pass, as do ARP, the answers of DHCP and the
    neighbour discovery of IPv6.
  - A change is in force at once, also for guests that run; the old rules protect them until the
    new ones do.
  - A policy that guests have is not removed.
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
    description: Whether the policy exists.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Name of the policy.
    type: str
    required: true
  default_action:
    description: What happens to packets that no rule is about. By default V(accept).
    type: str
    choices: [accept, drop]
  rules:
    description:
      - The rules, in order; the first that a packet fits decides. An empty list removes all.
    type: list
    elements: dict
    suboptions:
      action:
        description: Whether the packet reaches the guest.
        type: str
        choices: [accept, drop]
        required: true
      protocol:
        description: Protocol of the packet; V(icmp) stands for ICMPv6 too.
        type: str
        choices: [tcp, udp, icmp, all]
        default: all
      ports:
        description: Ports of the guest, such as V(22) or V(8000-8010). By default all.
        type: list
        elements: str
        default: []
      source:
        description: Address or network that the packet comes from. By default all.
        type: str
      target:
        description: Address or network that the packet goes to. By default all.
        type: str
"""

EXAMPLES = r"""
- name: Web and, from the office, ssh
  nano.cloud.security_policy:
    name: web
    default_action: drop
    rules:
      - action: accept
        protocol: tcp
        ports: ["80", "443"]
      - action: accept
        protocol: tcp
        ports: ["22"]
        source: 192.0.2.0/24
      - action: accept
        protocol: icmp

- name: Remove a policy
  nano.cloud.security_policy:
    name: old
    state: absent
"""

RETURN = r"""
policy:
  description: The policy with C(name), C(default_action) and C(rules); null when there is none.
  returned: success
  type: dict
guests:
  description: Names of the guests that have it.
  returned: success
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module
from ansible_collections.nano.cloud.plugins.module_utils.policy_service import (
    ensure_policy_absent,
    ensure_policy_present,
)
from ansible_collections.nano.cloud.plugins.module_utils.policy_spec import (
    POLICY_ARGUMENTS,
    policy_request,
)


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Have the policy, or not."""
    handler = ensure_policy_present if params["state"] == "present" else ensure_policy_absent
    outcome = handler(host, policy_request(params), check_mode, params["lock_timeout_seconds"])
    return Result(outcome.differences, {"policy": outcome.policy, "guests": outcome.guests})


def main() -> None:
    """Entry point of the module."""
    run_module(POLICY_ARGUMENTS, ensure)


if __name__ == "__main__":
    main()
