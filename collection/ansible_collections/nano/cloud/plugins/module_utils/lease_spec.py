# SPDX-License-Identifier: BSD-2-Clause
"""A static address of a network card as data, beside the argument spec that it is read from."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Tuple

from . import constants, names
from .errors import InvalidInput

MAX_LEASES = 1000
_MAX_DNS = 8

LEASE_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "leases": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "mac": {"type": "str", "required": True},
            "address": {"type": "str"},
            "gateway": {"type": "str"},
            "dns": {"type": "list", "elements": "str"},
            "bridge": {"type": "str", "default": constants.DEFAULT_BRIDGE},
        },
    },
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}


@dataclass(frozen=True)
class Lease:
    """What the card with a MAC is told on a bridge; ``address`` as ``a.b.c.d/nn``."""

    mac: str
    bridge: str
    address: str
    gateway: str = ""
    dns: Tuple[str, ...] = ()


def leases_asked_for(params: Mapping[str, Any]) -> Tuple[Lease, ...]:
    """The checked leases that are to be there.

    :raises InvalidInput: a value that can never work; names the option.
    """
    found = [_lease(f"leases[{index}]", each) for index, each in enumerate(_entries(params))]
    for field, values in (
        ("mac", [each.mac for each in found]),
        ("address", [f"{each.address.split('/')[0]} on {each.bridge}" for each in found]),
    ):
        for index, value in enumerate(values):
            if value in values[:index]:
                raise InvalidInput(
                    f"leases[{index}].{field}: {value} is in the list already",
                    field=f"leases[{index}].{field}",
                )
    return tuple(found)


def macs_to_forget(params: Mapping[str, Any]) -> Tuple[str, ...]:
    """The checked MACs whose leases are to go.

    :raises InvalidInput: one of them is none.
    """
    return tuple(
        names.check_mac(each["mac"], f"leases[{index}].mac")
        for index, each in enumerate(_entries(params))
    )


def lease_values(lease: Lease) -> Dict[str, Any]:
    """A lease as the module's options have it."""
    return {
        "mac": lease.mac,
        "bridge": lease.bridge,
        "address": lease.address,
        "gateway": lease.gateway or None,
        "dns": list(lease.dns),
    }


def lease_of(values: Mapping[str, Any]) -> Lease:
    """The lease of checked values."""
    return Lease(
        mac=str(values["mac"]),
        bridge=str(values["bridge"]),
        address=str(values["address"]),
        gateway=str(values["gateway"] or ""),
        dns=tuple(str(each) for each in values["dns"]),
    )


def _entries(params: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    entries = list(params["leases"])
    if len(entries) > MAX_LEASES:
        raise InvalidInput(f"leases has more than {MAX_LEASES} entries", field="leases")
    return entries


def _lease(field: str, entry: Mapping[str, Any]) -> Lease:
    dns = list(entry.get("dns") or ())
    if len(dns) > _MAX_DNS:
        raise InvalidInput(f"{field}.dns has more than {_MAX_DNS} entries", field=f"{field}.dns")
    gateway = entry.get("gateway") or ""
    bridge = entry.get("bridge") or constants.DEFAULT_BRIDGE
    return Lease(
        mac=names.check_mac(entry["mac"], f"{field}.mac"),
        bridge=names.check_bridge_name(bridge, f"{field}.bridge"),
        address=_interface(f"{field}.address", entry.get("address") or ""),
        gateway=_address(f"{field}.gateway", gateway) if gateway else "",
        dns=tuple(_address(f"{field}.dns", each) for each in dns),
    )


def _interface(field: str, text: str) -> str:
    try:
        found = ipaddress.IPv4Interface(text)
    except ValueError:
        found = None
    if found is None or "/" not in text:
        raise InvalidInput(
            f"{field} {text[:60]!r} is not an IPv4 address with its network's size, as in "
            "192.0.2.7/24",
            field=field,
        )
    if found.network.prefixlen < 31 and found.ip in (
        found.network.network_address,
        found.network.broadcast_address,
    ):
        raise InvalidInput(f"{field} {found} is an address of the network itself", field=field)
    return str(found)


def _address(field: str, text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise InvalidInput(f"{field} {text[:60]!r} is not an IPv4 address", field=field) from None
