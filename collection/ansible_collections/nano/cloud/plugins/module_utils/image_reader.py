# SPDX-License-Identifier: BSD-2-Clause
"""A cell's images as plain values. Nothing is changed, and no checksum computed."""

from __future__ import annotations

import contextlib
from typing import Any, Dict, List, Optional

from .constants import IMAGE_FORMATS
from .errors import NotFound
from .file_users import FileUsers
from .image_service import ImageCache
from .image_spec import ImageRequest
from .libvirt_host import LibvirtHost
from .libvirt_storage import Volume
from .pool_space import usable_pool


def read_images(
    host: LibvirtHost, pool_name: str, image_id: Optional[str] = None
) -> List[Dict[str, Any]]:
    """The finished images in a pool by id, or one; an empty list when there is none.

    :raises NotFound: there is no such pool.
    """
    pool = usable_pool(host, pool_name)
    found = []
    users: Optional[FileUsers] = None
    for volume in pool.volumes():
        own_id, _dot, image_format = volume.name.rpartition(".")
        if image_format not in IMAGE_FORMATS or not own_id or own_id.startswith("."):
            continue
        if image_id is not None and own_id != image_id:
            continue
        users = users or FileUsers(host)
        with contextlib.suppress(NotFound):  # Removed since it was listed.
            request = ImageRequest(own_id, image_format, pool_name)
            found.append(_values(host, request, volume, users))
    return sorted(found, key=lambda image: (str(image["id"]), str(image["format"])))


def _values(
    host: LibvirtHost, request: ImageRequest, volume: Volume, users: FileUsers
) -> Dict[str, Any]:
    cache = ImageCache(host, request)
    record = cache.known_record()
    virtual_size, size = volume.sizes()
    return {
        "id": request.id,
        "path": cache.path,
        "format": request.format,
        "ready": True,
        "size_bytes": record.size_bytes if record else size,
        "virtual_size_bytes": record.virtual_size_bytes if record else virtual_size,
        "checksum": record.checksum if record else None,
        "dependents": users.of(cache.path, request.pool, volume.name),
    }
