# SPDX-License-Identifier: Apache-2.0
"""netplan: the NIC's addresses move, in YAML, from its entry to the bridge's.

Only netplan's own Python dependency (yaml, always installed with it) is needed on the host.
"""

from __future__ import annotations

import glob
import os
from typing import Any

from ansible.module_utils.cell_network.live import Link
from ansible.module_utils.cell_network.plan import HEADER, Plan, Wanted, read_text, refuse_lease

from ansible_collections.nano.cloud.plugins.module_utils.errors import Conflict

DIRECTORY = "/etc/netplan"
# What belongs to the wire and not to the addresses on it.
STAYS_WITH_THE_NIC = ("match", "set-name", "wakeonlan", "macaddress", "renderer", "mtu")


def is_active() -> bool:
    return os.path.exists("/usr/sbin/netplan") and bool(_files())


def path(bridge: str) -> str:
    return os.path.join(DIRECTORY, f"90-nano-cloud-{bridge}.yaml")


def is_ours(bridge: str) -> bool:
    return os.path.exists(path(bridge))


def plan(wanted: Wanted) -> Plan:
    """Return the change that makes the bridge. Raises Unsupported for leases it cannot keep."""
    nic = wanted.nic
    bridge: dict[str, Any] = {"parameters": {"stp": False, "forward-delay": 0}}
    made = Plan(file_mode="0600", nic=nic)
    identifier: str | None = None
    if nic is None:
        bridge.update({"link-local": [], "optional": True, "interfaces": []})
    else:
        identifier, moved = _take(made, nic, path(wanted.bridge))
        if identifier is None and nic.carries_traffic:
            refuse_lease(nic, "netplan")
            moved = _from_live(nic)
        bridge.update(moved or {"link-local": []})
        bridge.update({"interfaces": [identifier or nic.name], "macaddress": nic.mac})
    network: dict[str, Any] = {"version": 2, "bridges": {wanted.bridge: bridge}}
    if nic and identifier is None:
        network["ethernets"] = {nic.name: {"dhcp4": False, "dhcp6": False, "link-local": []}}
    made.files[path(wanted.bridge)] = HEADER + _dump({"network": network})
    # `generate` first: it refuses what it cannot read before anything is touched.
    made.after = [["netplan", "generate"], ["netplan", "apply"]]
    # Not before the files are back: networkd would try to attach the NIC to nothing and give up.
    made.undo_after = [["netplan", "apply"], ["ip", "link", "delete", wanted.bridge]]
    made.undo_after.append(["netplan", "apply"])
    return made


def _yaml() -> Any:
    import yaml  # only where netplan is, which depends on it

    return yaml


def _dump(data: dict[str, Any]) -> str:
    return str(_yaml().safe_dump(data, sort_keys=False, default_flow_style=False))


def _files() -> list[str]:
    return sorted(glob.glob(f"{DIRECTORY}/*.yaml"))


def _take(made: Plan, nic: Link, ours: str) -> tuple[str | None, dict[str, Any]]:
    """Take the NIC's address settings out of the files; return its netplan id and them."""
    identifier: str | None = None
    taken: dict[str, Any] = {}
    for name in _files():
        if name == ours:
            continue
        data = _yaml().safe_load(read_text(name) or "") or {}
        ethernets = (data.get("network") or {}).get("ethernets") or {}
        for key, entry in ethernets.items():
            if not _names(key, entry or {}, nic):
                continue
            if identifier not in (None, key):
                raise Conflict(
                    f"cell_bridge_nic: netplan describes {nic.name} twice, as {identifier} and "
                    f"as {key}: merge them first.",
                    nic=nic.name,
                )
            identifier = key
            entry = entry or {}
            taken.update({k: v for k, v in entry.items() if k not in STAYS_WITH_THE_NIC})
            left = {k: v for k, v in entry.items() if k in STAYS_WITH_THE_NIC}
            ethernets[key] = {**left, "dhcp4": False, "dhcp6": False, "link-local": []}
            made.files[name] = _dump(data)
    return identifier, taken


def _names(key: str, entry: dict[str, Any], nic: Link) -> bool:
    match = entry.get("match") or {}
    if entry.get("set-name") == nic.name or match.get("name") == nic.name:
        return True
    if str(match.get("macaddress", "")).lower() == nic.mac.lower():
        return True
    return key == nic.name and not match


def _from_live(nic: Link) -> dict[str, Any]:
    return {
        "addresses": [f"{a['local']}/{a['prefixlen']}" for a in nic.addresses],
        "routes": [{"to": r["dst"], "via": r["gateway"]} for r in nic.routes if "gateway" in r],
    }
