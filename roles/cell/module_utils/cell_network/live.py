# SPDX-License-Identifier: Apache-2.0
"""What the kernel knows about network links: read only, nothing cached."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.errors import HypervisorError

SYS_CLASS_NET = "/sys/class/net"
IFF_UP = 0x1


@dataclass
class Link:
    """One network link. ``addresses`` and ``routes`` are as ``ip -json`` describes them."""

    name: str
    mac: str
    index: int
    is_up: bool
    is_bridge: bool
    master: str = ""
    addresses: list[dict[str, Any]] = field(default_factory=list)
    routes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def carries_traffic(self) -> bool:
        """Whether the host itself may be reached through this link."""
        return bool(self.addresses)

    @property
    def has_leased_address(self) -> bool:
        return any(address.get("dynamic") for address in self.addresses)


def run(argv: list[str], check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command; raises HypervisorError with its own words when ``check`` and it failed."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HypervisorError(f"`{' '.join(argv)}` could not be run: {error}") from error
    if check and done.returncode != 0:
        text = (done.stderr or done.stdout).strip()
        raise HypervisorError(f"`{' '.join(argv)}` failed: {text}")
    return done


def _read(name: str, attribute: str) -> str:
    with open(os.path.join(SYS_CLASS_NET, name, attribute), encoding="ascii") as stream:
        return stream.read().strip()


def _ip(*arguments: str) -> list[dict[str, Any]]:
    return json.loads(run(["ip", "-json", *arguments]).stdout or "[]")  # type: ignore[no-any-return]


def exists(name: str) -> bool:
    return os.path.isdir(os.path.join(SYS_CLASS_NET, name))


def names() -> list[str]:
    """Return the links that a bridge could have as its port, sorted."""
    return sorted(
        name
        for name in os.listdir(SYS_CLASS_NET)
        if name != "lo" and os.path.exists(os.path.join(SYS_CLASS_NET, name, "address"))
    )


def ports(bridge: str) -> list[str]:
    """Return the names of a bridge's ports, sorted; empty when there is no such bridge."""
    directory = os.path.join(SYS_CLASS_NET, bridge, "brif")
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def read(name: str) -> Link | None:
    """Return a link with its global addresses and its routes, or None when it does not exist."""
    if not exists(name):
        return None
    master = os.path.join(SYS_CLASS_NET, name, "master")
    link = Link(
        name=name,
        mac=_read(name, "address"),
        index=int(_read(name, "ifindex")),
        is_up=bool(int(_read(name, "flags"), 16) & IFF_UP),
        is_bridge=os.path.isdir(os.path.join(SYS_CLASS_NET, name, "bridge")),
        master=os.path.basename(os.readlink(master)) if os.path.islink(master) else "",
    )
    for entry in _ip("address", "show", "dev", name):
        link.addresses += [a for a in entry.get("addr_info", []) if a.get("scope") == "global"]
    for family in ("-4", "-6"):
        for route in _ip(family, "route", "show", "dev", name):
            if route.get("protocol") not in ("kernel", "ra"):
                link.routes.append({**route, "family": family})
    return link


def restore_commands(link: Link) -> list[list[str]]:
    """Return the commands that give a link back the addresses and routes it has now."""
    commands = [["ip", "link", "set", link.name, "up"]]
    for address in link.addresses:
        text = f"{address['local']}/{address['prefixlen']}"
        commands.append(["ip", "address", "replace", text, "dev", link.name])
    for route in link.routes:
        command = ["ip", route["family"], "route", "replace", str(route["dst"])]
        if "gateway" in route:
            command += ["via", str(route["gateway"])]
        commands.append([*command, "dev", link.name])
    return commands
