#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the bridge that guests are attached to."""

# ruff: noqa: E402 (an Ansible module has its documentation before its imports)
from __future__ import annotations

DOCUMENTATION = r"""
---
module: cell_bridge
short_description: The bridge that a cell's guests are attached to
description:
  - Uses an existing bridge after checking it, or makes one through the host's network manager,
    isolated or with a NIC as its port. What it makes survives a reboot.
  - A NIC with addresses gives them to the bridge, by its own configuration where there is one
    (DHCP stays DHCP). That change runs detached and undoes itself unless this module is called
    again with O(confirm=true) within O(confirm_seconds).
version_added: "1.0.0"
options:
  name:
    description: Name of the bridge.
    type: str
    required: true
  nic:
    description: NIC to attach; empty for an isolated bridge or for an existing bridge as it is.
    type: str
    default: ""
  backend:
    description: What manages the host's network; V(auto) finds out.
    type: str
    choices: [auto, networkd, ifupdown, networkmanager, netplan]
    default: auto
  confirm:
    description: Keep the change that an earlier call began.
    type: bool
    default: false
  confirm_seconds:
    description: Time in seconds within which a change has to be confirmed.
    type: int
    default: 60
attributes:
  check_mode:
    description: Shows what would be done.
    support: full
  diff_mode:
    description: Shows the files and the commands.
    support: full
author: The nano-cloud developers
"""

EXAMPLES = r"""
- name: Attach the NIC that the host is reached by
  cell_bridge:
    name: br0
    nic: eth0
  register: bridge

- name: Keep it, over a new connection
  cell_bridge:
    name: br0
    nic: eth0
    confirm: true
"""

RETURN = r"""
pending:
  description: Whether the change waits for O(confirm=true) and will be undone without it.
  returned: always
  type: bool
bridge:
  description: The bridge as it is; empty in check mode when it would be made.
  returned: always
  type: dict
  sample: {name: br0, ports: [eth0], mac: "52:54:00:00:00:01", backend: networkd}
"""

import os
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cell_network import (
    ifupdown,
    live,
    netplan,
    networkd,
    networkmanager,
)
from ansible.module_utils.cell_network.plan import Plan, Wanted, read_text
from ansible.module_utils.cell_network.transaction import Transaction

from ansible_collections.nano.cloud.plugins.module_utils.errors import (
    CloudError,
    Conflict,
    InvalidInput,
    NotFound,
    Unsupported,
)

# In the order of detection: netplan writes for the others, NetworkManager and networkd may both
# run, and ifupdown is looked at last because its package outlives its use.
BACKENDS = {
    "netplan": netplan,
    "networkmanager": networkmanager,
    "networkd": networkd,
    "ifupdown": ifupdown,
}
APPLY_TIMEOUT_SECONDS = 60


def choose_backend(wanted: str) -> tuple[str, Any]:
    """Return name and module of the host's network manager. Raises Unsupported without one."""
    for name, backend in BACKENDS.items():
        if wanted in ("auto", name) and backend.is_active():
            return name, backend
    if wanted != "auto":
        raise Unsupported(
            f"cell_network_backend: {wanted} does not manage this host's network (it is not "
            "running or has no configuration).",
            backend=wanted,
        )
    raise Unsupported(
        "No network manager that this role knows (netplan, NetworkManager, systemd-networkd, "
        "ifupdown) runs on this host: make the bridge by the host's own means, then run this "
        "again; an existing bridge is used as it is."
    )


def check_nic(name: str, bridge: str) -> live.Link:
    """Return the NIC to attach. Raises NotFound or Conflict when it cannot be a port."""
    nic = live.read(name)
    if nic is None:
        raise NotFound(
            f"cell_bridge_nic: this host has no network interface {name!r}; it has "
            f"{', '.join(live.names())}.",
            nic=name,
        )
    if nic.master and nic.master != bridge:
        raise Conflict(
            f"cell_bridge_nic: {name} belongs to {nic.master} already. Use that as cell_bridge, "
            "or name another NIC.",
            nic=name,
            master=nic.master,
        )
    if nic.is_bridge or name == "lo":
        raise Conflict(f"cell_bridge_nic: {name} cannot be a port of a bridge.", nic=name)
    if os.path.exists(f"/sys/class/net/{name}/phy80211"):
        raise Unsupported(
            f"cell_bridge_nic: {name} is a wireless interface; access points do not accept the "
            "addresses of guests behind it.",
            nic=name,
        )
    return nic


def check_names(params: dict[str, Any]) -> None:
    for field, key in (("cell_bridge", "name"), ("cell_bridge_nic", "nic")):
        value = params[key]
        if (key == "name" or value) and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}", value):
            raise InvalidInput(
                f"{field}: {value!r} is no name of a network interface (15 characters at most, "
                "letters, digits, and _ . - inside).",
                field=field,
            )


def needed_change(params: dict[str, Any]) -> tuple[str, Plan, bool] | None:
    """Return backend, plan and whether the host's own traffic moves; None when all is there."""
    name, nic_name = params["name"], params["nic"]
    bridge = live.read(name)
    if bridge and not bridge.is_bridge:
        raise Conflict(f"cell_bridge: {name} exists on this host and is not a bridge.", bridge=name)
    nic = check_nic(nic_name, name) if nic_name else None
    if bridge and bridge.is_up and (nic is None or nic.master == name):
        return None
    if bridge and nic is None and not any(b.is_ours(name) for b in BACKENDS.values()):
        raise Conflict(
            f"cell_bridge: the bridge {name} exists but is down, and this role did not make it: "
            "bring it up by the means that made it.",
            bridge=name,
        )
    backend_name, backend = choose_backend(params["backend"])
    if bridge and nic and not backend.is_ours(name):
        raise Conflict(
            f"cell_bridge: the bridge {name} exists, this role did not make it, and {nic.name} "
            "is not its port. Attach the NIC by the means that made the bridge, or choose "
            "another name for cell_bridge.",
            bridge=name,
            nic=nic.name,
        )
    plan = backend.plan(Wanted(name, nic))
    return backend_name, plan, bool(nic and nic.carries_traffic)


def describe(name: str, backend: str) -> dict[str, Any]:
    bridge = live.read(name)
    if bridge is None:
        return {}
    return {
        "name": name,
        "ports": live.ports(name),
        "mac": bridge.mac,
        "addresses": [f"{a['local']}/{a['prefixlen']}" for a in bridge.addresses],
        "backend": backend,
    }


def difference(name: str, plan: Plan) -> list[dict[str, str]]:
    shown = []
    for path, text in sorted(plan.changed_files().items()):
        before = read_text(path) or ""
        headers = {"before_header": path, "after_header": path}
        shown.append({"before": before, "after": text or "", **headers})
    commands = [" ".join(command) for command in plan.before + plan.after]
    shown.append(
        {
            "before": "",
            "after": "\n".join(commands) + "\n",
            "before_header": name,
            "after_header": f"{name} (commands)",
        }
    )
    return shown


def is_made(params: dict[str, Any]) -> bool:
    bridge, ports = live.read(params["name"]), live.ports(params["name"])
    if bridge is None or not bridge.is_up:
        return False
    return not params["nic"] or params["nic"] in ports


def keep(transaction: Transaction, params: dict[str, Any]) -> None:
    transaction.confirm(lambda: is_made(params), APPLY_TIMEOUT_SECONDS)


def ensure(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return the module's result; begins, finishes or confirms a change unless ``check_mode``."""
    check_names(params)
    transaction = Transaction(params["name"])
    if params["confirm"]:
        if not check_mode:
            keep(transaction, params)
        return {"changed": False, "pending": False, "bridge": describe(params["name"], "")}
    change = needed_change(params)
    if change is None:
        return {"changed": False, "pending": False, "bridge": describe(params["name"], "")}
    backend, plan, moves_traffic = change
    result: dict[str, Any] = {
        "changed": True,
        "pending": moves_traffic and not check_mode,
        "bridge": {},
        "diff": difference(params["name"], plan),
    }
    if check_mode:
        return result
    transaction.start(plan, params["confirm_seconds"])
    if not moves_traffic:
        keep(transaction, params)
    result["bridge"] = describe(params["name"], backend)
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "nic": {"type": "str", "default": ""},
            "backend": {"type": "str", "default": "auto", "choices": ["auto", *sorted(BACKENDS)]},
            "confirm": {"type": "bool", "default": False},
            "confirm_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**ensure(module.params, module.check_mode))
    except CloudError as error:
        module.fail_json(msg=error.message, error=error.as_dict())


if __name__ == "__main__":
    main()
