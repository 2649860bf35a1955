# SPDX-License-Identifier: BSD-2-Clause
"""The leases of a bridge as files: what we keep of them, and what dnsmasq reads. Pure.

dnsmasq answers only cards that it knows.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from typing import Dict, Sequence, Tuple

from .lease_spec import Lease, lease_of, lease_values

LEASES, CONFIGURATION, HOSTS, OPTIONS, ADDRESS = (
    "leases.json",
    "dnsmasq.conf",
    "hosts",
    "options",
    "address",
)
_LEASE_TIME = "12h"
_WARNING = "# Written by nano.cloud.address_lease: changes here are lost.\n"


def files_of(
    bridge: str, leases: Sequence[Lease], directory: str, machine_id: str
) -> Dict[str, str]:
    """Name → text of the files in a bridge's directory; the same leases make the same text."""
    ordered = sorted(leases, key=lambda lease: lease.mac)
    return {
        LEASES: json.dumps([lease_values(lease) for lease in ordered], indent=1) + "\n",
        CONFIGURATION: _configuration(bridge, ordered, directory),
        HOSTS: _WARNING + "".join(_host_line(lease) for lease in ordered),
        OPTIONS: _WARNING + "".join(_option_lines(lease) for lease in ordered),
        ADDRESS: spare_address(machine_id, bridge) + "\n",
    }


def leases_in(text: str) -> Tuple[Lease, ...]:
    """The leases that we kept."""
    return tuple(lease_of(values) for values in json.loads(text))


def spare_address(machine_id: str, bridge: str) -> str:
    """For a bridge without an address, where dnsmasq would not answer: one that stays local.

    It follows from the host, so that hosts on one network have different ones.
    """
    digest = hashlib.sha256(f"{machine_id} {bridge}".encode()).digest()
    return f"169.254.{1 + digest[0] % 254}.{digest[1]}/32"


def _configuration(bridge: str, leases: Sequence[Lease], directory: str) -> str:
    networks = sorted({ipaddress.ip_interface(lease.address).network for lease in leases})
    lines = [
        "port=0",
        f"interface={bridge}",
        "except-interface=lo",
        "bind-dynamic",
        "no-resolv",
        "no-hosts",
        "no-ping",
        "leasefile-ro",
        # An address that is asked for again is given again, though nothing was written down.
        "dhcp-authoritative",
        "dhcp-ignore=tag:!known",
        # Without these, dnsmasq would name itself.
        "dhcp-option=option:router",
        "dhcp-option=option:dns-server",
        f"dhcp-hostsfile={directory}/{HOSTS}",
        f"dhcp-optsfile={directory}/{OPTIONS}",
    ]
    for network in networks:
        place = network.network_address
        # The bridge itself need not have an address of the guests' network.
        lines.append(f"shared-network={bridge},{place}")
        lines.append(f"dhcp-range={place},static,{network.netmask},{_LEASE_TIME}")
    return _WARNING + "\n".join(lines) + "\n"


def _tag(lease: Lease) -> str:
    return "card-" + lease.mac.replace(":", "")


def _host_line(lease: Lease) -> str:
    address = lease.address.split("/")[0]
    return f"{lease.mac},set:{_tag(lease)},{address},{_LEASE_TIME}\n"


def _option_lines(lease: Lease) -> str:
    text = ""
    if lease.gateway:
        text += f"tag:{_tag(lease)},option:router,{lease.gateway}\n"
    if lease.dns:
        text += f"tag:{_tag(lease)},option:dns-server,{','.join(lease.dns)}\n"
    return text
