#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: libvirt as a cell needs it."""

# ruff: noqa: E402 (an Ansible module has its documentation before its imports)
from __future__ import annotations

DOCUMENTATION = r"""
---
module: cell_libvirt
short_description: A libvirt that answers, and its own network
description:
  - Waits until libvirt and its nwfilter driver answer, checks the guest bridge, and starts or
    stops the network that libvirt brings along.
version_added: "1.0.0"
options:
  uri:
    description: libvirt's connection URI.
    type: str
    default: qemu:///system
  timeout_seconds:
    description: Time in seconds that libvirt has to answer, for instance after its start.
    type: int
    default: 30
  bridge:
    description: Bridge that must exist and be up; empty for none.
    type: str
    default: ""
  default_network:
    description:
      - V(stopped) stops the network named default and its autostart, unless a guest of the host
        is attached to it; V(started) does the opposite; V(keep) leaves it.
    type: str
    choices: [stopped, started, keep]
    default: keep
  onboarding:
    description: Whether the role is at work; if not, messages name the playbook to run.
    type: bool
    default: false
attributes:
  check_mode:
    description: Shows what would be done.
    support: full
  diff_mode:
    description: Shows the network's state.
    support: full
author: The nano-cloud developers
"""

EXAMPLES = r"""
- name: Wait for libvirt
  cell_libvirt:
    bridge: br0
    default_network: stopped
"""

RETURN = r"""
default_network:
  description: State of libvirt's own network.
  returned: always
  type: dict
  sample: {exists: true, active: false, autostart: false, guests: []}
filters:
  description: How many nwfilters are defined.
  returned: always
  type: int
"""

import os
import time
from typing import Any
from xml.etree import ElementTree

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nano.cloud.plugins.module_utils.errors import (
    CloudError,
    HypervisorError,
    NotFound,
    Unreachable,
    Unsupported,
)

NETWORK = "default"


class Libvirt:
    """One connection; translates libvirt's errors."""

    def __init__(self, uri: str, timeout_seconds: int, remedy: str) -> None:
        try:
            import libvirt
        except ImportError as error:
            raise Unsupported(f"Python's libvirt binding is not installed{remedy}.") from error
        self.binding = libvirt
        # Errors come as exceptions; without this they are printed to stderr as well.
        libvirt.registerErrorHandler(lambda *_: None, None)
        self.connection = self._open(uri, timeout_seconds, remedy)

    def _open(self, uri: str, timeout_seconds: int, remedy: str) -> Any:
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                return self.binding.open(uri)
            except self.binding.libvirtError as error:
                if time.monotonic() >= deadline:
                    raise Unreachable(
                        f"libvirt does not answer at {uri} ({error}){remedy}.", uri=uri
                    ) from error
            time.sleep(0.5)

    def count_filters(self, remedy: str) -> int:
        """Ask the nwfilter driver. Raises Unsupported when there is none."""
        try:
            return len(self.connection.listAllNWFilters())
        except self.binding.libvirtError as error:
            raise Unsupported(
                f"libvirt's nwfilter driver does not answer ({error}): security policies need "
                f"it{remedy}."
            ) from error

    def network(self) -> Any | None:
        try:
            return self.connection.networkLookupByName(NETWORK)
        except self.binding.libvirtError as error:
            if error.get_error_code() == self.binding.VIR_ERR_NO_NETWORK:
                return None
            raise HypervisorError(f"libvirt's networks cannot be read: {error}") from error

    def guests_of_network(self) -> list[str]:
        """Return the names of the guests that are attached to libvirt's own network."""
        names = []
        for domain in self.connection.listAllDomains():
            root = ElementTree.fromstring(domain.XMLDesc())
            sources = root.iterfind("./devices/interface/source")
            if any(source.get("network") == NETWORK for source in sources):
                names.append(domain.name())
        return sorted(names)


def check_bridge(name: str, remedy: str) -> None:
    """Raise NotFound or Unsupported when guests could not be attached to the bridge."""
    directory = f"/sys/class/net/{name}"
    if not os.path.isdir(f"{directory}/bridge"):
        what = "is not a bridge" if os.path.isdir(directory) else "does not exist on this host"
        raise NotFound(f"The guest bridge {name} {what}{remedy}.", bridge=name)
    with open(f"{directory}/flags", encoding="ascii") as stream:
        if not int(stream.read(), 16) & 1:
            raise Unsupported(f"The guest bridge {name} is down{remedy}.", bridge=name)


def ensure_network(host: Libvirt, wanted: str, check_mode: bool) -> dict[str, Any]:
    """Start or stop the network; return ``changed``, ``diff`` and its state."""
    network = host.network()
    state: dict[str, Any] = {"exists": network is not None, "active": False, "autostart": False}
    state["guests"] = host.guests_of_network() if network is not None else []
    if network is None:
        if wanted == "started":
            raise NotFound(
                "cell_default_network: libvirt's own network was removed from this host, so it "
                "cannot be started."
            )
        return {"changed": False, "default_network": state}
    state.update(active=bool(network.isActive()), autostart=bool(network.autostart()))
    before = f"active: {state['active']}\nautostart: {state['autostart']}\n"
    if wanted == "keep" or (wanted == "stopped" and state["guests"]):
        return {"changed": False, "default_network": state}
    target = wanted == "started"
    try:
        if state["autostart"] != target and not check_mode:
            network.setAutostart(int(target))
        if state["active"] != target and not check_mode:
            network.create() if target else network.destroy()
    except host.binding.libvirtError as error:
        raise HypervisorError(f"libvirt's own network cannot be {wanted}: {error}") from error
    state.update(active=target, autostart=target)
    after = f"active: {target}\nautostart: {target}\n"
    diff = {"before": before, "after": after}
    return {"changed": before != after, "default_network": state, "diff": diff}


def ensure(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return the module's result; changes nothing in check mode."""
    remedy = "" if params["onboarding"] else ": onboard this cell with playbooks/cell_onboard.yml"
    host = Libvirt(params["uri"], params["timeout_seconds"], remedy)
    filters = host.count_filters(remedy)
    if params["bridge"]:
        check_bridge(params["bridge"], remedy)
    return {**ensure_network(host, params["default_network"], check_mode), "filters": filters}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "uri": {"type": "str", "default": "qemu:///system"},
            "timeout_seconds": {"type": "int", "default": 30},
            "bridge": {"type": "str", "default": ""},
            "default_network": {
                "type": "str",
                "default": "keep",
                "choices": ["stopped", "started", "keep"],
            },
            "onboarding": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**ensure(module.params, module.check_mode))
    except CloudError as error:
        module.fail_json(msg=error.message, error=error.as_dict())


if __name__ == "__main__":
    main()
