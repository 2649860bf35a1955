# SPDX-License-Identifier: BSD-2-Clause
"""Storage pools with what is in them: what storage_pool_info returns."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from .constants import SHARED_STATE_DIRECTORY
from .errors import NotFound
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool, Volume
from .pool_service import guests_using, read_pool


def read_pool_details(
    host: LibvirtHost, name: Optional[str], refresh: bool, volumes: bool
) -> List[Dict[str, Any]]:
    """One pool or all, sorted by name; an empty list when there is none."""
    if name is None:
        pools = host.pools()
    else:
        found = host.find_pool(name)
        pools = [] if found is None else [found]
    return sorted(
        (_details(host, pool, refresh, volumes) for pool in pools),
        key=lambda pool: str(pool["name"]),
    )


def _details(host: LibvirtHost, pool: Pool, refresh: bool, volumes: bool) -> Dict[str, Any]:
    if refresh and pool.is_active():
        pool.refresh()
    values = {**read_pool(host, pool), "guests": guests_using(host, pool)}
    if volumes:
        listed = [_volume_values(volume) for volume in pool.volumes()]
        values["volumes"] = sorted(
            (each for each in listed if each and each["name"] != SHARED_STATE_DIRECTORY),
            key=lambda volume: str(volume["name"]),
        )
    return values


def _volume_values(volume: Volume) -> Dict[str, Any]:
    try:
        size, allocated = volume.sizes()
        path = volume.path()
    except NotFound:
        return {}  # Deleted since it was listed.
    return {"name": volume.name, "path": path, "size_bytes": size, "allocated_bytes": allocated}
