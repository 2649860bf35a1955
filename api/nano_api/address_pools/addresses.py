# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of IPv4 ranges. Nothing here knows the database."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from nano_api.errors import InvalidInput


@dataclass(frozen=True)
class Range:
    """Addresses of one network, both ends included."""

    start: IPv4Address
    end: IPv4Address
    network: IPv4Network

    def overlaps(self, other: Range) -> bool:
        """Whether an address is in both."""
        return self.start <= other.end and other.start <= self.end

    def unusable(self, gateway: IPv4Address) -> set[IPv4Address]:
        """What no guest can have of it: the gateway, and the network's own two addresses."""
        reserved = {gateway}
        if self.network.prefixlen < 31:
            reserved |= {self.network.network_address, self.network.broadcast_address}
        return {address for address in reserved if self.start <= address <= self.end}

    def capacity(self, gateway: IPv4Address) -> int:
        """How many guests can have an address of it."""
        return int(self.end) - int(self.start) + 1 - len(self.unusable(gateway))

    def free_address(
        self, taken: Collection[IPv4Address], gateway: IPv4Address, first_try: int
    ) -> IPv4Address | None:
        """The first free address from an offset on, going round once; None when all are taken."""
        size = int(self.end) - int(self.start) + 1
        refused = {*taken, *self.unusable(gateway)}
        # Never more steps than there are refused addresses, and one.
        for step in range(min(size, len(refused) + 1)):
            address = self.start + (first_try + step) % size
            if address not in refused:
                return address
        return None


def parse_range(start: str, end: str, netmask: str) -> Range:
    """:raises InvalidInput: a field is no address, or they do not fit together"""
    first = parse_address(start, "start")
    last = parse_address(end, "end")
    network = IPv4Network((first, _prefix_length(netmask)), strict=False)
    if last < first:
        raise InvalidInput(f"end {last} is before start {first}", field="end")
    if last not in network:
        raise InvalidInput(f"end {last} is not in the network {network} of the start", field="end")
    return Range(first, last, network)


def parse_address(text: str, field: str) -> IPv4Address:
    """:raises InvalidInput: it is missing or no IPv4 address"""
    if not text:
        raise InvalidInput(f"{field} required", field=field)
    try:
        return IPv4Address(text)
    except ValueError:
        raise InvalidInput(
            f"invalid {field} '{text[:60]}': not an IPv4 address", field=field
        ) from None


def _prefix_length(netmask: str) -> int:
    mask = int(parse_address(netmask, "netmask"))
    length = mask.bit_count()
    if mask == 0 or mask != (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF:
        raise InvalidInput(
            f"invalid netmask '{netmask}': its ones must come first, as in 255.255.255.0",
            field="netmask",
        )
    return length
