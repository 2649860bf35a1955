#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.guest_power."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_power
short_description: Start, stop, reboot or reset a guest
version_added: 1.0.0
description:
  - Brings a guest into a state of power, and waits until it is there.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
  - nano.cloud.connection.lock
attributes:
  diff_mode:
    description: Returns what differs between the object as it is and as it is wanted.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    support: partial
    details: V(rebooted) and V(reset) act in each run.
options:
  id:
    description: UUID of the guest. O(id) or O(name) is required.
    type: str
  name:
    description: Name of the guest. Ignored when O(id) is given.
    type: str
  guests:
    description:
      - Many guests instead of one; all get into the same O(state).
      - The failure of one does not stop the others. When some have failed, the module fails at the
        end, names them, and returns RV(results) of all.
    type: list
    elements: dict
    suboptions:
      id:
        description: UUID of a guest.
        type: str
      name:
        description: Name of a guest, when it has no C(id).
        type: str
  at_once:
    description: How many of O(guests) are worked on at the same time.
    type: int
    default: 4
  state:
    description:
      - V(running) starts a guest, lets a paused one go on, wakes a sleeping one.
      - V(stopped) asks the guest to end, by its agent or by the power button, and waits.
      - V(paused) freezes a running guest in memory; V(running) lets it go on.
      - V(rebooted) stops a running guest and starts it, so that waiting changes take effect.
      - V(reset) presses the reset button of a running guest.
    type: str
    required: true
    choices: [running, stopped, paused, rebooted, reset]
  force:
    description:
      - With V(stopped) and V(rebooted), end the guest at once, as pulling the plug does.
      - With V(running), start a crashed guest anew.
    type: bool
    default: false
  timeout_seconds:
    description: How long to wait for a guest that was asked to end.
    type: int
    default: 60
  boot_image:
    description:
      - With O(state=running), the id of an ISO in O(image_pool) that a stopped guest boots from,
        for this run only. Its definition stays as it is.
      - A guest that runs already is left alone.
    type: str
  image_pool:
    description: Storage pool of the images.
    type: str
    default: nano-images
  force_after_timeout:
    description: End the guest when it has not ended in time, instead of failing.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Start a guest
  nano.cloud.guest_power:
    name: admin.web1
    state: running

- name: Stop a guest, after two minutes by force
  nano.cloud.guest_power:
    name: admin.web1
    state: stopped
    timeout_seconds: 120
    force_after_timeout: true

- name: Start a guest from an installation medium, this once
  nano.cloud.guest_power:
    name: admin.web1
    state: running
    boot_image: debian-12-netinst

- name: Start many
  nano.cloud.guest_power:
    guests:
      - name: admin.web1
      - name: admin.web2
    state: running
"""

RETURN = r"""
guest:
  description: The guest, as M(nano.cloud.guest_info) returns it.
  returned: when one guest was asked for
  type: dict
results:
  description: What came of each of O(guests), in their order.
  returned: when O(guests) was given
  type: list
  elements: dict
  contains:
    index:
      description: Its place in the list, from 0.
      type: int
    id:
      description: UUID of the guest.
      type: str
    name:
      description: Name of the guest.
      type: str
    changed:
      description: Whether it was changed.
      type: bool
    failed:
      description: Whether it failed.
      type: bool
    error:
      description: Why, with C(code) and C(message); null when it did not fail.
      type: dict
    guest:
      description: The guest, as M(nano.cloud.guest_info) returns it.
      type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.guest_batch import OneDone, run_batch
from ansible_collections.nano.cloud.plugins.module_utils.guest_power_service import ensure_power
from ansible_collections.nano.cloud.plugins.module_utils.guest_power_spec import (
    POWER_MODULE_ARGUMENTS,
    power_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Bring the guest, or each of many, into the state."""

    def one(options: Mapping[str, Any]) -> OneDone:
        wait = params["lock_timeout_seconds"]
        outcome = ensure_power(host, power_request({**params, **options}), check_mode, wait)
        changed = outcome.acted or outcome.differences.changed
        return OneDone(outcome.differences, {"guest": outcome.guest}, changed)

    if params["guests"] is None:
        done = one({})
        return Result(done.differences, done.values, always_changed=done.changed)
    outcome = run_batch(params["guests"], one, params["at_once"])
    return Result(outcome.differences, {"results": outcome.results}, always_changed=outcome.changed)


def main() -> None:
    """Entry point of the module."""
    run_module(
        POWER_MODULE_ARGUMENTS,
        ensure,
        required_one_of=[["id", "name", "guests"]],
        mutually_exclusive=[["id", "guests"], ["name", "guests"]],
    )


if __name__ == "__main__":
    main()
