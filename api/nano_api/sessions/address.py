# SPDX-License-Identifier: Apache-2.0
"""Where a request comes from. Headers count only when a proxy that we trust has set them."""

from __future__ import annotations

import ipaddress

from starlette.requests import HTTPConnection

from nano_api.settings import Settings


def client_address(request: HTTPConnection, settings: Settings) -> str:
    """The client's IP address; "" when there is none, as on a local socket.

    Behind proxies of ``settings.trusted_proxies`` it is the last address of X-Forwarded-For that
    is not such a proxy's, or that of X-Real-Ip. Anybody else may claim nothing.
    """
    address = _parsed(request.client.host if request.client else "")
    networks = [ipaddress.ip_network(entry) for entry in settings.trusted_proxies]
    if address is None or not _inside(address, networks):
        return _text(address)
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    claims = forwarded.split(",") if forwarded else [request.headers.get("x-real-ip", "")]
    for claim in reversed(claims):
        claimed = _parsed(claim.strip())
        if claimed is None:
            break  # what stands left of a word that is no address is not to be trusted
        address = claimed
        if not _inside(address, networks):
            break
    return _text(address)


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _parsed(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _inside(address: _Address, networks: list[_Network]) -> bool:
    return any(address in network for network in networks)


def _text(address: _Address | None) -> str:
    return "" if address is None else str(address)
