# SPDX-License-Identifier: Apache-2.0
"""Debian's /etc/network/interfaces: the NIC's stanzas move, as they are, to the bridge."""

from __future__ import annotations

import glob
import os

from ansible.module_utils.cell_network.live import Link
from ansible.module_utils.cell_network.plan import HEADER, Plan, Wanted, read_text, refuse_lease

MAIN_FILE = "/etc/network/interfaces"
DIRECTORY = "/etc/network/interfaces.d"
STANZAS = ("iface", "mapping", "auto", "source", "source-directory", "rename", "template")


def is_active() -> bool:
    """Whether ifupdown configures any link besides the loopback."""
    if not os.path.exists("/sbin/ifup") and not os.path.exists("/usr/sbin/ifup"):
        return False
    words = [line.split() for text in _texts().values() for line in text.splitlines()]
    return any(len(w) > 1 and w[0] == "iface" and w[1] != "lo" for w in words)


def path(bridge: str) -> str:
    return os.path.join(DIRECTORY, f"nano-cloud-{bridge}")


def is_ours(bridge: str) -> bool:
    return os.path.exists(path(bridge))


def plan(wanted: Wanted) -> Plan:
    """Return the change that makes the bridge. Raises Unsupported for leases it cannot keep."""
    texts = _texts()
    texts.pop(path(wanted.bridge), None)
    main = texts.setdefault(MAIN_FILE, "")
    made = Plan(nic=wanted.nic)
    stanzas: list[list[str]] = []
    if wanted.nic:
        for name, text in texts.items():
            rest, found = _without(text, wanted.nic.name)
            stanzas += found
            if found or rest != text:
                made.files[name] = rest
    if "interfaces.d" not in main:
        rest = made.files.get(MAIN_FILE) or main
        made.files[MAIN_FILE] = f"{rest.rstrip()}\nsource {DIRECTORY}/*\n".lstrip()
    made.files[path(wanted.bridge)] = _bridge_text(wanted, stanzas)
    made.after = [["ifup", "--force", wanted.bridge]]
    made.undo_before = [["ifdown", "--force", wanted.bridge]]
    nic = wanted.nic
    if nic:
        if stanzas:
            made.before = [["ifdown", "--force", nic.name]]
            made.undo_after = [["ifup", "--force", nic.name]]
        made.after.insert(0, ["ip", "address", "flush", "dev", nic.name])
        made.after.insert(0, ["ifup", "--force", nic.name])
        made.undo_before.append(["ifdown", "--force", nic.name])
    return made


def _texts() -> dict[str, str]:
    """Return every file of the configuration by path."""
    found: dict[str, str] = {}
    for name in [MAIN_FILE, *sorted(glob.glob(f"{DIRECTORY}/*"))]:
        text = read_text(name) if os.path.isfile(name) else None
        if text is not None:
            found[name] = text
    return found


def _without(text: str, name: str) -> tuple[str, list[list[str]]]:
    """Take a link out of a file: return the rest, and the lines of each of its stanzas."""
    rest: list[str] = []
    stanzas: list[list[str]] = []
    taking = False
    for line in text.splitlines():
        words = line.split()
        keyword = words[0] if words else ""
        if keyword in STANZAS or keyword.startswith(("allow-", "no-")):
            taking = keyword == "iface" and words[1:2] == [name]
            if taking:
                stanzas.append([line])
                continue
            if keyword == "auto" or keyword.startswith(("allow-", "no-")):
                others = [word for word in words[1:] if word != name]
                if others != words[1:]:
                    if others:
                        rest.append(" ".join([keyword, *others]))
                    continue
        if taking and keyword and not keyword.startswith("#"):
            stanzas[-1].append(line)
        elif not (taking and keyword):
            rest.append(line)
    return "\n".join(rest).rstrip() + "\n", stanzas


def _bridge_text(wanted: Wanted, stanzas: list[list[str]]) -> str:
    bridge, nic = wanted.bridge, wanted.nic
    mac = f" address {nic.mac}" if nic else ""
    make = [
        f"    pre-up ip link show dev {bridge} >/dev/null 2>&1 "
        f"|| ip link add name {bridge}{mac} type bridge forward_delay 0 stp_state 0",
    ]
    if nic:
        make.append(f"    pre-up ip link set dev {nic.name} master {bridge}")
    make.append(f"    pre-up ip link set dev {bridge} up")
    last = [f"    post-down ip link delete {bridge} || true"]
    lines: list[str] = []
    if nic:
        lines += [f"auto {nic.name}", f"iface {nic.name} inet manual"]
        lines += [f"    up ip link set dev {nic.name} up", ""]
    lines.append(f"auto {bridge}")
    heads = [" ".join(stanza[0].split()[2:]) for stanza in stanzas]
    bodies = [stanza[1:] for stanza in stanzas]
    if not stanzas:
        heads, bodies = _live_stanzas(nic) if nic else (["inet manual"], [[]])
    for number, head in enumerate(heads):
        lines += [f"iface {bridge} {head}", *(make if number == 0 else []), *bodies[number]]
        lines += last if number == 0 else []
        lines.append("")
    text: str = HEADER + "\n".join(lines).rstrip() + "\n"
    return text


def _live_stanzas(nic: Link) -> tuple[list[str], list[list[str]]]:
    """Return stanzas for the addresses that a NIC has now without any configuration."""
    if not nic.carries_traffic:
        return ["inet manual"], [[]]
    refuse_lease(nic, "ifupdown")
    heads: list[str] = []
    bodies: list[list[str]] = []
    for address in nic.addresses:
        family = "inet6" if ":" in address["local"] else "inet"
        first = not any(head.startswith(f"{family} ") for head in heads)
        heads.append(f"{family} static")
        body = [f"    address {address['local']}/{address['prefixlen']}"]
        for route in nic.routes if first else []:
            if (route["family"] == "-6") != (family == "inet6") or "gateway" not in route:
                continue
            if route["dst"] == "default":
                body.append(f"    gateway {route['gateway']}")
            else:
                body.append(f"    up ip route add {route['dst']} via {route['gateway']}")
        bodies.append(body)
    return heads, bodies
