#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: what of a cell can be reached over the network, by an nftables table."""

# ruff: noqa: E402 (an Ansible module has its documentation before its imports)
from __future__ import annotations

DOCUMENTATION = r"""
---
module: cell_firewall
short_description: Let in what a cell needs, and nothing else
description:
  - Where firewalld runs, adds to its rules what a cell needs and they do not let in, and closes
    nothing.
  - Elsewhere keeps one nftables table, C(inet nano_cell), for what is sent to the host itself. It
    lets in answers, the loopback, ICMP, the ports that the ssh server listens on, live migrations
    from O(sources), DHCP from O(bridge), and what O(allow) names, and refuses everything else.
  - A change of that table is undone after O(confirm_seconds) unless the module is called again with
    O(confirm=true), so that rules that keep Ansible out do not stay.
  - What guests send and get is not its business.
version_added: "1.0.0"
options:
  state:
    description:
      - Whether there are the rules; V(absent) removes the unit that loads them too.
      - V(extended) lets live migrations in from O(sources) too where there are rules, and changes
        nothing else.
    type: str
    choices: [present, absent, extended]
    default: present
  bridge:
    description: Bridge that guests ask for their address on.
    type: str
    default: br0
  sources:
    description: Addresses, networks or names that live migrations come from.
    type: list
    elements: str
    default: []
  allow:
    description: What else is let in.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: A port, or two with a hyphen for all from the first to the last.
        type: str
        required: true
      protocol:
        description: The protocol.
        type: str
        choices: [tcp, udp]
        default: tcp
      source:
        description: Address or network that it is let in from; everywhere when empty.
        type: str
        default: ""
  confirm_seconds:
    description: Time in seconds until a change is undone that was not confirmed.
    type: int
    default: 60
  confirm:
    description: Keep the change that was made before, also over restarts of the host.
    type: bool
    default: false
attributes:
  check_mode:
    description: Shows what would be done.
    support: full
  diff_mode:
    description: Shows the rules.
    support: full
author: The nano-cloud developers
"""

EXAMPLES = r"""
- name: Filter what is sent to the host
  cell_firewall:
    sources: [192.0.2.11, 192.0.2.12]
    allow:
      - {port: 9100, source: 192.0.2.0/24}
  register: firewall

- name: Keep it
  cell_firewall:
    confirm: true
"""

RETURN = r"""
backend:
  description: What filters.
  returned: always
  type: str
  sample: nftables
pending:
  description: A change was made that is undone unless it is confirmed.
  returned: always
  type: bool
"""

import ipaddress
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils import cell_firewalld
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nano.cloud.plugins.module_utils.errors import (
    CloudError,
    Conflict,
    HypervisorError,
    InvalidInput,
)

RULES = Path("/etc/nano-cloud/firewall.nft")
# What is tried lies where a restart of the host forgets it.
TRIED = Path("/run/nano-cloud/firewall.nft")
UNDO = Path("/run/nano-cloud/firewall-undo.nft")
# What loads the rules when the host starts.
UNIT = Path("/etc/systemd/system/nano-cloud-firewall.service")
UNDO_UNIT = "nano-cloud-firewall-undo"
TABLE = ("inet", "nano_cell")
# libvirt's default, on which guests arrive, their disks too.
MIGRATION_PORTS = "49152-49215"
_REMOVAL = "table inet nano_cell\ndelete table inet nano_cell\n"
_MIGRATION = f"tcp dport {MIGRATION_PORTS} accept"
_HEAD = "# Written by Ansible (nano-cloud, role cell). Changes here are lost.\n"


def addresses_of(source: str) -> list[str]:
    """Return the addresses or networks that a source stands for; raises InvalidInput."""
    try:
        return [str(ipaddress.ip_network(source, strict=False))]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(source, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise InvalidInput(
            f"sources: {source} is no address or network and does not resolve."
        ) from error
    return [str(ipaddress.ip_network(str(each[4][0]).partition("%")[0])) for each in found]


def sources_of(params: dict[str, Any]) -> list[str]:
    """Return all networks that guests come from."""
    return [each for source in params["sources"] for each in addresses_of(source)]


def from_sources(networks: list[str], rest: str) -> list[str]:
    """Return one rule for each kind of address among the networks."""
    lines = []
    for version, family in ((4, "ip"), (6, "ip6")):
        parsed = [ipaddress.ip_network(each) for each in networks]
        same = ipaddress.collapse_addresses(each for each in parsed if each.version == version)
        elements = ", ".join(str(each) for each in same)
        if elements:
            lines.append(f"{family} saddr {{ {elements} }} {rest}")
    return lines


def check_port(port: str) -> str:
    """Raise InvalidInput for what is no port and no range of ports."""
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", port)
    if not match or not 1 <= int(match[1]) <= int(match[2] or match[1]) <= 65535:
        raise InvalidInput(f"allow: {port!r} is no port and no range of ports.")
    return port


def ruleset(ssh_ports: list[int], params: dict[str, Any]) -> str:
    """Return the file for nft that replaces the table in one step."""
    bridge = params["bridge"]
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", bridge):
        raise InvalidInput(f"bridge: {bridge!r} is no name of a network interface.")
    sources = sources_of(params)
    rules = [
        "ct state established,related accept",
        "ct state invalid drop",
        'iifname "lo" accept',
        "meta l4proto { icmp, ipv6-icmp } accept",
        "ip6 saddr fe80::/10 udp dport 546 accept",
        f"tcp dport {{ {', '.join(str(port) for port in sorted(ssh_ports))} }} accept",
        *from_sources(sources, _MIGRATION),
        f'iifname "{bridge}" udp dport 67 accept',
    ]
    for each in params["allow"]:
        rest = f"{each['protocol']} dport {check_port(each['port'])} accept"
        rules += from_sources(addresses_of(each["source"]), rest) if each["source"] else [rest]
    # Refused, not dropped: who has no business here learns it at once.
    rules.append("reject with icmpx type admin-prohibited")
    chain = "".join(f"    {rule}\n" for rule in rules)
    return (
        f"{_HEAD}{_REMOVAL}table inet nano_cell {{\n  chain input {{\n"
        f"    type filter hook input priority filter; policy drop;\n{chain}  }}\n}}\n"
    )


def with_sources(text: str, networks: list[str]) -> str:
    """Return the file with live migrations let in from these networks too."""
    rule = re.compile(rf"    ip6? saddr {{ ([^}}]*) }} {re.escape(_MIGRATION)}\n")
    known = [each for found in rule.findall(text) for each in found.split(", ")]
    rules = "".join(f"    {each}\n" for each in from_sources([*known, *networks], _MIGRATION))
    place = re.compile(r'(?=    iifname "[^"]+" udp dport 67 accept\n)')
    return place.sub(lambda _found: rules, rule.sub("", text), count=1)


def ports_of_sshd(text: str) -> list[int]:
    """Return the ports in what ``sshd -T`` prints; the usual one when there is none."""
    found = re.findall(r"^port (\d+)$", text, re.M)
    found += re.findall(r"^listenaddress \S*:(\d+)$", text, re.M)
    return sorted({int(port) for port in found}) or [22]


def run(*command: str) -> str:
    """Run a command; raises HypervisorError with its words when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HypervisorError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout


def succeeds(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def sshd_settings() -> str:
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    if sshd is None:
        return ""
    return subprocess.run([sshd, "-T"], capture_output=True, text=True, check=False).stdout


def write(path: Path, text: str) -> None:
    """Replace a file at once."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    os.replace(partial, path)


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def ensure(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return the module's result; changes nothing in check mode."""
    if params["confirm"]:
        return confirm(check_mode)
    if cell_firewalld.is_running():
        return ensure_in_firewalld(params, check_mode)
    if params["state"] == "extended":
        return extend_table(sources_of(params), check_mode)
    wanted = ruleset(ports_of_sshd(sshd_settings()), params) if params["state"] == "present" else ""
    return ensure_table(wanted, params["confirm_seconds"], check_mode)


def ensure_in_firewalld(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    ports = [*(str(port) for port in ports_of_sshd(sshd_settings())), MIGRATION_PORTS]
    wanted = []
    if params["state"] == "extended" and (ours := cell_firewalld.recorded()):
        more = cell_firewalld.wanted_items(sources_of(params), ports, params["bridge"], [])
        wanted = [*ours, *(item for item in more if item[1] == "rich-rule" and item not in ours)]
    if params["state"] == "present":
        allow = [
            {**each, "networks": addresses_of(each["source"]) if each["source"] else []}
            for each in params["allow"]
            if check_port(each["port"])
        ]
        wanted = cell_firewalld.wanted_items(sources_of(params), ports, params["bridge"], allow)
    diff = cell_firewalld.ensure(wanted, check_mode)
    shown = [diff] if diff else []
    return {"backend": "firewalld", "changed": bool(diff), "pending": False, "diff": shown}


def unchanged() -> dict[str, Any]:
    return {"backend": "nftables", "changed": False, "pending": False, "diff": []}


def changed(before: str, after: str, pending: bool = False) -> dict[str, Any]:
    told = {"before": before, "after": after}
    diff = {**told, **{f"{side}_header": str(RULES) for side in told}}
    return {**unchanged(), "changed": True, "pending": pending, "diff": [diff]}


def ensure_table(wanted: str, confirm_seconds: int, check_mode: bool) -> dict[str, Any]:
    """Have these rules in force, for a while; no text: have no table."""
    before = text_of(RULES)
    there = succeeds("nft", "list", "table", *TABLE)
    if before == wanted and there == bool(wanted):
        return unchanged()
    if not check_mode:
        if wanted:
            try_rules(wanted, before if there else "", confirm_seconds)
        else:
            remove(there)
    return changed(before if there else "", wanted, pending=bool(wanted) and not check_mode)


def extend_table(networks: list[str], check_mode: bool) -> dict[str, Any]:
    """Add to the rules that were kept. They close nothing more, so nobody needs to confirm them."""
    before = text_of(RULES)
    wanted = with_sources(before, networks)
    if wanted == before:
        return unchanged()
    if not check_mode:
        draft = RULES.with_suffix(".draft")
        write(draft, wanted)
        run("nft", "--file", str(draft))
        os.replace(draft, RULES)
    return changed(before, wanted)


def try_rules(wanted: str, before: str, seconds: int) -> None:
    """Put the rules in force, and have the host undo that by itself."""
    write(TRIED, wanted)
    run("nft", "--check", "--file", str(TRIED))
    write(UNDO, before or _REMOVAL)
    stop_undoing()
    undo = ("--collect", f"--unit={UNDO_UNIT}", f"--on-active={seconds}s")
    nft = shutil.which("nft") or "nft"
    # The rules that were tried go first: from then on they cannot be confirmed.
    words = f"rm -f {TRIED} && exec {nft} --file {UNDO}"
    run("systemd-run", *undo, "/bin/sh", "-c", words)
    run("nft", "--file", str(TRIED))


def stop_undoing() -> None:
    for unit in (f"{UNDO_UNIT}.timer", f"{UNDO_UNIT}.service"):
        succeeds("systemctl", "stop", unit)


def confirm(check_mode: bool) -> dict[str, Any]:
    """Keep what was tried; raises Conflict when it was undone meanwhile."""
    if not check_mode:
        stop_undoing()
        if not (tried := text_of(TRIED)):
            raise Conflict(
                "the new rules of the firewall were undone: Ansible did not come back over a new "
                "connection in time. Is the port that it uses among those of the host's ssh server?"
            )
        write(RULES, tried)
        TRIED.unlink()
        UNDO.unlink(missing_ok=True)
    return unchanged()


def remove(there: bool) -> None:
    stop_undoing()
    if UNIT.exists():
        run("systemctl", "disable", UNIT.name)
        UNIT.unlink()
        run("systemctl", "daemon-reload")
    if there:
        run("nft", "delete", "table", *TABLE)
    for path in (RULES, TRIED, UNDO):
        path.unlink(missing_ok=True)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "default": "present",
                "choices": ["present", "absent", "extended"],
            },
            "bridge": {"type": "str", "default": "br0"},
            "sources": {"type": "list", "elements": "str", "default": []},
            "allow": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "port": {"type": "str", "required": True},
                    "protocol": {"type": "str", "default": "tcp", "choices": ["tcp", "udp"]},
                    "source": {"type": "str", "default": ""},
                },
            },
            "confirm_seconds": {"type": "int", "default": 60},
            "confirm": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**ensure(module.params, module.check_mode))
    except CloudError as error:
        module.fail_json(msg=error.message, error=error.as_dict())


if __name__ == "__main__":
    main()
