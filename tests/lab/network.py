# SPDX-License-Identifier: Apache-2.0
"""The lab's two networks on this machine: management and guest LAN, each a bridge.

The bridges carry the lab's mark as their alias and the firewall rules carry it as a comment, so
that both are found and removed without any record of them.
"""

import ipaddress
import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cache import exclusive
from tests.lab.commands import run, wait_until
from tests.lab.errors import LabError
from tests.lab.identity import MARK, RUN_DIRECTORY, Identity

# Each lab takes two neighbouring /24 networks of this one.
SPACE = ipaddress.IPv4Network("10.77.0.0/16")
IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
FORWARD_WAS_OFF = RUN_DIRECTORY / "ip_forward_was_off"
ALLOCATION_LOCK = RUN_DIRECTORY / "allocation.lock"


@dataclass(frozen=True)
class Network:
    """The networks of one lab. Interface names stay within the kernel's 15 characters."""

    tag: str
    management: ipaddress.IPv4Network
    guest_lan: ipaddress.IPv4Network

    @property
    def management_bridge(self) -> str:
        return f"nl{self.tag}m"

    @property
    def guest_bridge(self) -> str:
        return f"nl{self.tag}g"

    def management_port(self, number: int) -> str:
        """The host's end of a cell's management link."""
        return f"{self.management_bridge}{number}"

    def guest_port(self, number: int) -> str:
        """The host's end of a cell's link to the guest LAN."""
        return f"{self.guest_bridge}{number}"

    @property
    def host_address(self) -> str:
        return str(self.management[1])

    @property
    def guest_lan_host_address(self) -> str:
        return str(self.guest_lan[1])

    def cell_address(self, number: int) -> str:
        return str(self.management[10 + number])

    def bridges(self) -> list[tuple[str, ipaddress.IPv4Network]]:
        return [
            (self.management_bridge, self.management),
            (self.guest_bridge, self.guest_lan),
        ]


def links() -> dict[str, dict[str, object]]:
    """Return this machine's network links by name, as `ip -json` describes them."""
    listed = json.loads(run(["ip", "-json", "link", "show"]).stdout or "[]")
    return {link["ifname"]: link for link in listed}


def _tags(identity: Identity) -> list[str]:
    return [identity.lab_id[start : start + 6] for start in range(0, 11, 2)]


def _labs_bridges(identity: Identity) -> list[str]:
    """Return the lab's bridges: those with its mark, and one whose maker died before marking."""
    own_names = {f"nl{tag}{kind}" for tag in _tags(identity) for kind in "mg"}
    return [
        name
        for name, link in links().items()
        if link.get("ifalias") == identity.mark or (name in own_names and "ifalias" not in link)
    ]


def existing(identity: Identity) -> Network | None:
    """Return the lab's networks when both bridges are there with their addresses."""
    names = _labs_bridges(identity)
    listed = json.loads(run(["ip", "-json", "-4", "address", "show"]).stdout or "[]")
    found: dict[str, ipaddress.IPv4Network] = {}
    for link in listed:
        for address in link.get("addr_info", []):
            if link.get("ifname") in names and address["prefixlen"] == 24:
                text = f"{address['local']}/24"
                found[link["ifname"][-1]] = ipaddress.IPv4Network(text, strict=False)
    if set(found) != {"m", "g"}:
        return None
    return Network(names[0][2:-1], found["m"], found["g"])


def _networks_in_use() -> list[ipaddress.IPv4Network]:
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]).stdout or "[]")
    addresses = json.loads(run(["ip", "-json", "-4", "address", "show"]).stdout or "[]")
    texts = [route["dst"] for route in routes if route["dst"] != "default"]
    texts += [
        f"{address['local']}/{address['prefixlen']}"
        for link in addresses
        for address in link.get("addr_info", [])
    ]
    return [ipaddress.IPv4Network(text, strict=False) for text in texts]


def _choose(identity: Identity) -> Network:
    """Pick names and addresses from the lab's id, stepping past whatever is taken."""
    present = links()
    for tag in _tags(identity):
        if not any(name.startswith(f"nl{tag}") for name in present):
            break
    else:
        raise LabError("Every interface name that this lab could use is taken: run `down` first.")
    in_use = [net for net in _networks_in_use() if net.prefixlen > 0]
    pairs = list(SPACE.subnets(new_prefix=23))
    start = int(identity.lab_id, 16) % len(pairs)
    for pair in pairs[start:] + pairs[:start]:
        if not any(pair.overlaps(net) for net in in_use):
            management, guest_lan = pair.subnets(new_prefix=24)
            return Network(tag, management, guest_lan)
    raise LabError(f"This machine has routes to all of {SPACE}: the lab finds no free network.")


def ensure(identity: Identity) -> Network:
    """Return the lab's networks, making what is missing: bridges, address translation, routing."""
    with exclusive(ALLOCATION_LOCK):
        network = existing(identity)
        if network is None:
            _remove_bridges(identity)
            network = _choose(identity)
            for bridge, subnet in network.bridges():
                run(["ip", "link", "add", bridge, "type", "bridge"])
                run(["ip", "link", "set", bridge, "alias", identity.mark])
                run(["ip", "address", "add", f"{subnet[1]}/24", "dev", bridge])
        for bridge, _ in network.bridges():
            run(["ip", "link", "set", bridge, "up"])
        _ensure_rules(identity, network)
        _enable_forwarding()
    return network


def _rules(identity: Identity, network: Network) -> list[tuple[str, list[str]]]:
    """Firewall rules as (table, arguments after `-I CHAIN`); accepting for machines that drop."""
    comment = ["-m", "comment", "--comment", identity.mark]
    rules: list[tuple[str, list[str]]] = []
    for bridge, subnet in network.bridges():
        source = ["-s", str(subnet), "!", "-d", str(subnet)]
        rules.append(("nat", ["POSTROUTING", *source, *comment, "-j", "MASQUERADE"]))
        rules.append(("filter", ["INPUT", "-i", bridge, *comment, "-j", "ACCEPT"]))
        rules.append(("filter", ["FORWARD", "-i", bridge, *comment, "-j", "ACCEPT"]))
        rules.append(("filter", ["FORWARD", "-o", bridge, *comment, "-j", "ACCEPT"]))
    return rules


def _ensure_rules(identity: Identity, network: Network) -> None:
    for table, (chain, *arguments) in _rules(identity, network):
        base = ["iptables", "-w", "-t", table]
        if run([*base, "-C", chain, *arguments], check=False).returncode != 0:
            run([*base, "-I", chain, *arguments])


def _remove_rules(identity: Identity) -> None:
    for table in ("nat", "filter"):
        for line in run(["iptables", "-w", "-t", table, "-S"]).stdout.splitlines():
            words = shlex.split(line)
            if identity.mark in words and words[0] == "-A":
                run(["iptables", "-w", "-t", table, "-D", *words[1:]])


def _enable_forwarding() -> None:
    if IP_FORWARD.read_text().strip() == "0":
        RUN_DIRECTORY.mkdir(parents=True, exist_ok=True)
        FORWARD_WAS_OFF.touch()
        IP_FORWARD.write_text("1\n")


def _restore_forwarding() -> None:
    """Turn forwarding off again when a lab turned it on and none is left."""
    if not FORWARD_WAS_OFF.exists():
        return
    if not any(str(link.get("ifalias", "")).startswith(MARK) for link in links().values()):
        IP_FORWARD.write_text("0\n")
        FORWARD_WAS_OFF.unlink()


def _remove_bridges(identity: Identity) -> None:
    for bridge in _labs_bridges(identity):
        present = links()
        for port in present:
            # A cell's end of the pair may outlive the cell by a moment; deleting either deletes
            # both.
            if port != bridge and port.startswith(bridge) and port[len(bridge) :].isdigit():
                run(["ip", "link", "delete", port], check=False)
        run(["ip", "link", "delete", bridge])


def remove(identity: Identity) -> None:
    """Remove bridges, firewall rules and, after the last lab, the routing that labs turned on."""
    with exclusive(ALLOCATION_LOCK):
        _remove_bridges(identity)
        _remove_rules(identity)
        _restore_forwarding()


def attach_port(port: str, bridge: str, timeout_seconds: float = 10) -> None:
    """Join the host's end of a cell's link to a bridge once the container has made it."""
    if not wait_until(lambda: port in links(), timeout_seconds):
        raise LabError(f"The cell did not make its network link {port}.")
    run(["ip", "link", "set", port, "master", bridge, "up"])


def delete_port(port: str) -> None:
    """Delete a link that a killed cell left; the kernel itself may be about to do so."""
    run(["ip", "link", "delete", port], check=False)
    if not wait_until(lambda: port not in links(), 10):
        raise LabError(f"The network link {port} of a former cell does not go away.")


def cut_port(port: str) -> None:
    """Pull a cell's cable. Raises LabError when the cell is not running."""
    if port not in links():
        raise LabError(f"The cell has no network link {port}: it is not running, `heal` it first.")
    run(["ip", "link", "set", port, "down"])


def port_is_up(port: str) -> bool:
    link = links().get(port)
    flags = link.get("flags", []) if link else []
    return isinstance(flags, list) and "UP" in flags


@contextmanager
def slow_port(port: str, mbit_per_second: int) -> Iterator[None]:
    """What this machine sends into a cell's link is slow for as long as the block runs."""
    limit = ["htb", "rate", f"{mbit_per_second}mbit"]
    run(["tc", "qdisc", "replace", "dev", port, "root", "handle", "1:", "htb", "default", "1"])
    try:
        run(["tc", "class", "replace", "dev", port, "parent", "1:", "classid", "1:1", *limit])
        yield
    finally:
        run(["tc", "qdisc", "del", "dev", port, "root"])
