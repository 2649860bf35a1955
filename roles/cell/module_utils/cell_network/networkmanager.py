# SPDX-License-Identifier: Apache-2.0
"""NetworkManager: two profiles of our own, made from the NIC's, which only stops autoconnecting.

Through `nmcli` and not through files: profiles are key files on some hosts and ifcfg on others.
"""

from __future__ import annotations

import os
import re

from ansible.module_utils.cell_network.live import Link, run
from ansible.module_utils.cell_network.plan import Plan, Wanted, refuse_lease

COPIED = (
    "method", "addresses", "gateway", "dns", "dns-search", "dns-options", "dns-priority",
    "routes", "route-metric", "never-default", "ignore-auto-dns", "ignore-auto-routes",
    "may-fail", "dhcp-client-id", "dhcp-hostname", "dhcp-send-hostname",
)  # fmt: skip


def is_active() -> bool:
    if not os.path.exists("/usr/bin/nmcli"):
        return False
    state: str = run(["nmcli", "-g", "RUNNING", "general"], check=False).stdout
    return state.strip() == "running"


def profile(bridge: str) -> str:
    return f"nano-cloud-{bridge}"


def is_ours(bridge: str) -> bool:
    if not is_active():
        return False
    listed = run(["nmcli", "-g", "NAME", "connection", "show"], check=False).stdout
    return profile(bridge) in listed.splitlines()


def plan(wanted: Wanted) -> Plan:
    """Return the change that makes the bridge. Raises Unsupported for leases it cannot keep."""
    name, port = profile(wanted.bridge), f"{profile(wanted.bridge)}-port"
    nic = wanted.nic
    add = ["nmcli", "connection", "add", "type", "bridge", "con-name", name]
    add += ["ifname", wanted.bridge, "bridge.stp", "no", "connection.autoconnect-slaves", "1"]
    made = Plan(undo_before=[["nmcli", "connection", "delete", name]], nic=nic)
    if nic is None:
        made.after = [[*add, *_no_addresses()], ["nmcli", "connection", "up", name]]
        return _replacing_ours(made, wanted)
    uuid = run(["nmcli", "-g", "GENERAL.CON-UUID", "device", "show", nic.name]).stdout.strip()
    if uuid:
        settings = _settings_of(uuid)
    elif nic.carries_traffic:
        refuse_lease(nic, "NetworkManager")
        settings = _from_live(nic)
    else:
        settings = _no_addresses()
    add += ["bridge.mac-address", nic.mac, *settings]
    add_port = ["nmcli", "connection", "add", "type", "ethernet", "con-name", port]
    add_port += ["ifname", nic.name, "master", wanted.bridge, "slave-type", "bridge"]
    made.after = [add, add_port]
    made.undo_before.append(["nmcli", "connection", "delete", port])
    if uuid:
        modify = ["nmcli", "connection", "modify", uuid, "connection.autoconnect"]
        made.after.append([*modify, "no"])
        made.undo_after = [[*modify, "yes"], ["nmcli", "connection", "up", uuid]]
    made.after += [["nmcli", "connection", "up", item] for item in (port, name)]
    return _replacing_ours(made, wanted)


def _replacing_ours(made: Plan, wanted: Wanted) -> Plan:
    if is_ours(wanted.bridge):
        made.after.insert(0, ["nmcli", "connection", "delete", profile(wanted.bridge)])
    return made


def _no_addresses() -> list[str]:
    return ["ipv4.method", "disabled", "ipv6.method", "disabled"]


def _settings_of(uuid: str) -> list[str]:
    """Return the address settings of a profile as arguments of `nmcli connection add`."""
    found: dict[str, str] = {}
    for line in run(["nmcli", "-t", "connection", "show", uuid]).stdout.splitlines():
        key, _, value = line.partition(":")
        family, _, setting = key.partition(".")
        value = re.sub(r"\\(.)", r"\1", value)
        if family in ("ipv4", "ipv6") and setting in COPIED and value not in ("", "--"):
            found[key] = value
    # nmcli checks each setting as it comes: the method before it has its addresses would fail.
    last = [key for key in found if key.endswith((".gateway", ".method"))]
    order = [key for key in found if key not in last]
    order += sorted(last)
    return [word for key in order for word in (key, found[key])]


def _from_live(nic: Link) -> list[str]:
    settings: list[str] = []
    for family, version in (("ipv4", "-4"), ("ipv6", "-6")):
        addresses = [a for a in nic.addresses if (":" in a["local"]) == (version == "-6")]
        if not addresses:
            settings += [f"{family}.method", "disabled" if version == "-4" else "ignore"]
            continue
        text = ",".join(f"{a['local']}/{a['prefixlen']}" for a in addresses)
        settings += [f"{family}.addresses", text]
        for route in nic.routes:
            if route["family"] != version or "gateway" not in route:
                continue
            if route["dst"] == "default":
                settings += [f"{family}.gateway", route["gateway"]]
            else:
                settings += [f"+{family}.routes", f"{route['dst']} {route['gateway']}"]
        settings += [f"{family}.method", "manual"]
    return settings
