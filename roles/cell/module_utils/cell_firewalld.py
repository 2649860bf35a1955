# SPDX-License-Identifier: Apache-2.0
"""Rules in firewalld, beside those that the host's administrator has there.

Nothing is closed: what firewalld does not let in already, and a cell needs, is added. What was
added is written down, and only that is taken away again.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.errors import HypervisorError

RECORD = Path("/etc/nano-cloud/firewalld.json")
#: (zone, kind, value); kind is what follows ``--add-``.
Item = tuple[str, str, str]


def is_running() -> bool:
    """Whether firewalld filters on this host."""
    return shutil.which("firewall-cmd") is not None and _run("--state")[0] == 0


def wanted_items(
    networks: list[str], ports: list[str], bridge: str, allow: list[dict[str, Any]]
) -> list[Item]:
    """What is to be let in: TCP ``ports`` from each network, DHCP from the bridge, and ``allow``.

    An entry of ``allow`` has port, protocol and networks, an empty list of which means everywhere.
    """
    items = [(_zone_of(bridge), "service", "dhcp")]
    for network in networks:
        zone = _zone_of(_interface_to(network))
        items += [(zone, "rich-rule", _rich_rule(network, port, "tcp")) for port in ports]
    zone = _ask("--get-default-zone")
    for each in allow:
        port, protocol = each["port"], each["protocol"]
        rules = [_rich_rule(network, port, protocol) for network in each["networks"]]
        items += [(zone, "rich-rule", rule) for rule in rules]
        if not rules:
            items.append((zone, "port", f"{port}/{protocol}"))
    return list(dict.fromkeys(items))


def ensure(wanted: list[Item], check_mode: bool) -> dict[str, str]:
    """Have these rules and none of ours besides; return the diff, empty when nothing changes."""
    ours = recorded()
    absent = [item for item in wanted if not _has(item, True)]
    missing = [item for item in wanted if item in absent or not _has(item, False)]
    stale = [item for item in ours if item not in wanted]
    if not missing and not stale:
        return {}
    if not check_mode:
        _write([item for item in ours if item not in stale] + absent)
        for item in missing:
            _change("add", item)
        for item in stale:
            _change("remove", item)
    return {
        "before": _lines([item for item in wanted if item not in missing] + stale),
        "after": _lines(wanted),
    }


def recorded() -> list[Item]:
    """What was added by us."""
    if not RECORD.exists():
        return []
    return [(zone, kind, value) for zone, kind, value in json.loads(RECORD.read_text())]


def _write(items: list[Item]) -> None:
    if not items:
        RECORD.unlink(missing_ok=True)
        return
    RECORD.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    RECORD.write_text(json.dumps(items, indent=1) + "\n")


def _lines(items: list[Item]) -> str:
    return "".join(f"{' '.join(item)}\n" for item in sorted(items))


def _rich_rule(network: str, port: str, protocol: str) -> str:
    family = f"ipv{ipaddress.ip_network(network).version}"
    return (
        f'rule family="{family}" source address="{network}" '
        f'port port="{port}" protocol="{protocol}" accept'
    )


def _interface_to(network: str) -> str:
    address = str(ipaddress.ip_network(network).network_address)
    command = ["ip", "-json", "route", "get", address]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    routes = json.loads(done.stdout) if done.returncode == 0 else []
    return str(routes[0].get("dev", "")) if routes else ""


def _zone_of(interface: str) -> str:
    status, zone = _run(f"--get-zone-of-interface={interface}") if interface else (1, "")
    return zone if status == 0 else _ask("--get-default-zone")


def _has(item: Item, permanent: bool) -> bool:
    zone, kind, value = item
    return _run(*_where(permanent), f"--zone={zone}", f"--query-{kind}={value}")[0] == 0


def _change(verb: str, item: Item) -> None:
    zone, kind, value = item
    for permanent in (True, False):
        if _has(item, permanent) != (verb == "add"):
            _ask(*_where(permanent), f"--zone={zone}", f"--{verb}-{kind}={value}")


def _where(permanent: bool) -> list[str]:
    return ["--permanent"] if permanent else []


def _ask(*arguments: str) -> str:
    status, told = _run(*arguments)
    if status:
        raise HypervisorError(f"firewall-cmd {' '.join(arguments)} failed: {told}")
    return told


def _run(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(["firewall-cmd", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip() or done.stderr.strip()
