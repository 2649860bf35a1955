# SPDX-License-Identifier: BSD-2-Clause
"""One writer per image: of the host, or of all hosts that share the pool that it is in."""

from __future__ import annotations

import contextlib
import os
from typing import Iterator, Optional

from . import pool_xml
from .constants import SHARED_STATE_DIRECTORY
from .libvirt_host import LibvirtHost
from .object_lock import object_lock
from .pool_space import check_usable


def shared_state_directory(host: LibvirtHost, pool_name: str) -> Optional[str]:
    """Where on a shared pool its hosts tell each other what they do; None: a pool of this host.

    :raises Conflict: nothing is mounted there: a lock in the directory beneath would lock nobody.
    """
    pool = host.find_pool(pool_name)
    if pool is None or not host.is_local_hypervisor or not pool.is_active():
        return None
    xml = pool.xml()
    path = pool_xml.parse(xml).path
    if not pool_xml.is_shared(xml) or not path:
        return None
    check_usable(host, pool)
    return os.path.join(path, SHARED_STATE_DIRECTORY)


@contextlib.contextmanager
def image_lock(
    host: LibvirtHost,
    pool_name: str,
    image_id: str,
    timeout_seconds: float,
    shared: bool = False,
) -> Iterator[None]:
    """Hold an image while the block runs. ``shared``: others may use it too, none change it.

    :raises Busy: somebody else held it for ``timeout_seconds``.
    """
    directory = shared_state_directory(host, pool_name)
    with object_lock("image", f"{pool_name}-{image_id}", timeout_seconds, shared):
        if directory is None:
            yield
            return
        # Every host may call the pool by a name of its own: there the image's id is enough.
        with object_lock("image", image_id, timeout_seconds, shared, directory, across_hosts=True):
            yield
