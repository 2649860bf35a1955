# SPDX-License-Identifier: Apache-2.0
"""How a cell reaches this API."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from nano_api.settings import Settings

_ANY = ("0.0.0.0", "::")


def controller_url_for(settings: Settings, cell_address: str) -> str:
    """The URL of this API for a cell: the setting, else our address on the way to the cell.

    ``""`` when we listen on no address that the cell can reach.
    """
    if settings.controller_url:
        return settings.controller_url.rstrip("/")
    ours = _local_address_towards(cell_address)
    if ours is None:
        return ""
    listening = settings.bind
    if ours not in listening and not any(address in _ANY for address in listening):
        return ""
    host = f"[{ours}]" if ip_address(ours).version == 6 else ours
    return f"{settings.scheme}://{host}:{settings.port}"


def certificate_for_cells(settings: Settings) -> str:
    """What cells are to trust beside their own authorities: our certificate, in PEM; or ``""``.

    Read again for each run: certificates are renewed.
    """
    if settings.tls_certificate is None or settings.controller_url:
        return ""
    return settings.tls_certificate.read_text()


def _local_address_towards(address: str) -> str | None:
    try:
        family, kind, _, _, target = socket.getaddrinfo(address, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(target)  # a datagram socket: nothing is sent
            return str(probe.getsockname()[0])
    except OSError:
        return None
