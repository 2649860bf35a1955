# SPDX-License-Identifier: Apache-2.0
"""systemd-networkd: three files of our own; the NIC's own file stays, ours comes before it."""

from __future__ import annotations

import os
import re

from ansible.module_utils.cell_network.live import Link, run
from ansible.module_utils.cell_network.plan import HEADER, Plan, Wanted, read_text, refuse_lease

DIRECTORY = "/etc/systemd/network"
LINKS = "/run/systemd/netif/links"
LEASES = "/run/systemd/netif/leases"
# Settings that describe the link as such: they stay with the NIC or fit no bridge.
NOT_FOR_A_BRIDGE = ("match", "link", "bridge", "bridgevlan", "sr-iov", "can")


def is_active() -> bool:
    # Its runtime directory outlives it.
    if not os.path.isdir(LINKS):
        return False
    done = run(["systemctl", "is-active", "--quiet", "systemd-networkd"], check=False)
    return bool(done.returncode == 0)


def paths(bridge: str) -> dict[str, str]:
    """Return our files by role. `05-` sorts before what distributions and netplan write."""
    stem = os.path.join(DIRECTORY, f"05-nano-cloud-{bridge}")
    return {
        "device": f"{stem}.netdev",
        "network": f"{stem}.network",
        "port": f"{stem}-port.network",
    }


def is_ours(bridge: str) -> bool:
    return os.path.exists(paths(bridge)["device"])


def plan(wanted: Wanted) -> Plan:
    """Return the change that makes the bridge. Raises Unsupported for leases it cannot keep."""
    path = paths(wanted.bridge)
    nic = wanted.nic
    device = f"{HEADER}[NetDev]\nName={wanted.bridge}\nKind=bridge\n"
    if nic:
        # The NIC's own address, so that leases and filters on the way go on working.
        device += f"MACAddress={nic.mac}\n"
    device += "\n[Bridge]\nSTP=no\nForwardDelaySec=0\n"
    made = Plan(files={path["device"]: device}, nic=nic)
    if nic is None:
        made.files[path["network"]] = _without_addresses(wanted.bridge)
    else:
        own_text = _text_of(nic)
        if own_text is None and not nic.carries_traffic:
            made.files[path["network"]] = _without_addresses(wanted.bridge)
        elif own_text is None:
            refuse_lease(nic, "systemd-networkd")
            made.files[path["network"]] = _from_live(wanted.bridge, nic)
        else:
            made.files[path["network"]] = _moved(wanted.bridge, nic, own_text)
        made.files[path["port"]] = (
            f"{HEADER}[Match]\nName={nic.name}\n\n"
            f"[Network]\nBridge={wanted.bridge}\nLinkLocalAddressing=no\n"
        )
    made.after = [["networkctl", "reload"]]
    # Not before the files are back: networkd would try to attach the NIC to nothing and give up.
    made.undo_after = [["networkctl", "reload"], ["ip", "link", "delete", wanted.bridge]]
    if nic:
        # `reload` leaves a link alone that networkd gave up earlier.
        made.after.append(["networkctl", "reconfigure", nic.name])
        # Addresses that networkd did not set itself would stay on the port.
        made.after.append(["ip", "address", "flush", "dev", nic.name])
        made.undo_after.append(["networkctl", "reconfigure", nic.name])
    return made


def _without_addresses(bridge: str) -> str:
    return (
        f"{HEADER}[Match]\nName={bridge}\n\n[Link]\nRequiredForOnline=no\n\n"
        "[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nConfigureWithoutCarrier=yes\n"
    )


def _from_live(bridge: str, nic: Link) -> str:
    """Return a configuration with the addresses and routes that the NIC has at this moment."""
    lines = [f"{HEADER}[Match]\nName={bridge}\n\n[Network]"]
    lines += [f"Address={a['local']}/{a['prefixlen']}" for a in nic.addresses]
    for route in nic.routes:
        lines.append("\n[Route]")
        if route["dst"] != "default":
            lines.append(f"Destination={route['dst']}")
        if "gateway" in route:
            lines.append(f"Gateway={route['gateway']}")
        elif route["dst"] == "default":
            lines.append(f"Destination={'0.0.0.0/0' if route['family'] == '-4' else '::/0'}")
    return "\n".join(lines) + "\n"


def _moved(bridge: str, nic: Link, own_text: str) -> str:
    """Return the NIC's own configuration for the bridge, lease identity included."""
    kept: list[str] = []
    keep = False
    for line in own_text.splitlines():
        section = re.match(r"\s*\[([^]]+)\]", line)
        if section:
            keep = section[1].lower() not in NOT_FOR_A_BRIDGE
        if keep and line.strip():
            kept.append(line.rstrip())
    text = f"{HEADER}[Match]\nName={bridge}\n\n" + "\n".join(kept) + "\n"
    identity = _lease_identity(nic)
    if identity is not None:
        text += f"\n[DHCPv4]\nIAID={identity}\n"
    return text


def _properties(path: str) -> dict[str, str]:
    text = read_text(path) or ""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _text_of(nic: Link) -> str | None:
    """Return the text of the .network file that networkd applies to the NIC, drop-ins after it."""
    state = _properties(os.path.join(LINKS, str(nic.index)))
    main = state.get("NETWORK_FILE", "")
    text = read_text(main) if main else None
    if text is None:
        return None
    name = os.path.basename(main)
    drop_ins: dict[str, str] = {}
    for root in ("/usr/lib", "/lib", "/run", "/etc"):
        directory = f"{root}/systemd/network/{name}.d"
        if os.path.isdir(directory):
            drop_ins.update(
                {entry: os.path.join(directory, entry) for entry in os.listdir(directory)}
            )
    extra = [
        read_text(drop_ins[entry]) or "" for entry in sorted(drop_ins) if entry[-5:] == ".conf"
    ]
    return "\n".join([text, *extra])


def _lease_identity(nic: Link) -> int | None:
    """Return the IAID of the NIC's DHCPv4 lease, so that the bridge is given the same address.

    networkd derives it from the link's name; a client id that starts with ff carries it.
    """
    client_id = _properties(os.path.join(LEASES, str(nic.index))).get("CLIENTID", "")
    if not re.fullmatch(r"ff[0-9a-f]{8,}", client_id):
        return None
    return int(client_id[2:10], 16)
