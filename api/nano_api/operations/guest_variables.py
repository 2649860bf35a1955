# SPDX-License-Identifier: Apache-2.0
"""A guest and its image as variables of a run."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from nano_api import API_PREFIX
from nano_api.cloud import Cloud
from nano_api.guests import addresses, cloud_init
from nano_api.guests.options import wanted_options
from nano_api.guests.tables import Guest
from nano_api.images.service import get_ready_image, ticket_purpose
from nano_api.images.tables import Kind
from nano_api.storage_pools import placement


def guest_specification(
    session: Session, cloud: Cloud, guest: Guest
) -> tuple[dict[str, Any], list[str]]:
    """Options of ``nano.cloud.guest`` for a new guest, and the secrets that are among them."""
    password = cloud.secrets.open(guest.monitor_secret_sealed)
    disks: list[dict[str, Any]] = [{"size_bytes": size} for size in guest.disks]
    if guest.image_id:
        disks[0]["image"] = guest.image_id
    specification = wanted_options(guest)
    specification |= {
        "disks": disks,
        "display": {**specification["display"], "password": password},
        "serial_log": True,
    }
    shared = placement.disk_pool(session, guest.pool)
    if shared is not None:
        specification |= {"pool": shared, "image_pool": shared}
    if not guest.cloud_init:
        return specification, [password]
    network = addresses.static_network(session, guest)
    specification["cloud_init"], secret = cloud_init.module_options(cloud, guest, network)
    return specification, [password, secret]


def image_source(
    session: Session, cloud: Cloud, image_id: str, compute_pool: str, kind: Kind = "disk"
) -> tuple[dict[str, Any], str]:
    """Where a cell gets an image and which pool it goes to, and the ticket that is among it."""
    image = get_ready_image(session, kind, image_id)
    ticket = cloud.secrets.ticket(ticket_purpose(image.id))
    source = {
        "id": image.id,
        "path": f"{API_PREFIX}/{kind}_images/{image.id}/file/",
        "format": image.format,
        "checksum": f"sha256:{image.sha256}",
        "bearer_token": ticket,
    }
    shared = placement.disk_pool(session, compute_pool)
    if shared is not None:
        source["pool"] = shared
    return source, ticket
