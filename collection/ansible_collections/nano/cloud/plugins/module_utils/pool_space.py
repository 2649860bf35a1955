# SPDX-License-Identifier: BSD-2-Clause
"""Room in storage pools, asked of the file system where libvirt only remembers its last look."""

from __future__ import annotations

import os
import threading
from typing import List, Optional, Tuple

from . import pool_xml
from .errors import Conflict, NoSpace, NotFound
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool
from .pool_server import is_mounted

_ANSWER_SECONDS = 5.0


def usable_pool(host: LibvirtHost, name: str) -> Pool:
    """A pool that volumes can be made in; of a shared one, what is in it now.

    :raises NotFound: there is none of that name.
    :raises Conflict: it is not active, or nothing is mounted where it is.
    """
    pool = host.find_pool(name)
    if pool is None:
        raise NotFound(f"storage pool {name} does not exist on this host", pool=name)
    check_usable(host, pool)
    if pool_xml.is_shared(pool.xml()):
        pool.refresh()
    return pool


def check_usable(host: LibvirtHost, pool: Pool) -> None:
    """Refuse a pool whose volumes are not there now.

    :raises Conflict: it is not active, or nothing is mounted where it is.
    """
    name = pool.name
    if not pool.is_active():
        raise Conflict(f"storage pool {name} is not active: start it first", pool=name)
    xml = pool.xml()
    if not pool_xml.is_shared(xml):
        return
    spec = pool_xml.parse(xml)
    if not is_mounted(host, spec):
        raise Conflict(
            f"storage pool {name} is active but {spec.host}:{spec.source} is not mounted at "
            f"{spec.path}: storage_pool with state present mounts it again",
            pool=name,
        )


def pool_sizes(host: LibvirtHost, pool: Pool) -> Tuple[int, int]:
    """(capacity, available) in bytes, as true as they can be had."""
    xml = pool.xml()
    path = pool_xml.parse(xml).path
    if host.is_local_hypervisor and path:
        found = _within_time(path) if pool_xml.is_shared(xml) else _file_system(path)
        if found is not None:
            return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    info = pool.info()
    return info.capacity_bytes, info.available_bytes


def _file_system(path: str) -> Optional[os.statvfs_result]:
    return os.statvfs(path) if os.path.isdir(path) else None


def _within_time(path: str) -> Optional[os.statvfs_result]:
    """None too when the server behind it does not answer: the call then waits for ever."""
    found: List[Optional[os.statvfs_result]] = []
    thread = threading.Thread(target=lambda: found.append(_file_system(path)), daemon=True)
    thread.start()
    thread.join(_ANSWER_SECONDS)
    return found[0] if found else None


def check_space(host: LibvirtHost, pool: Pool, needed_bytes: int) -> None:
    """Refuse what could not be filled: disks are thin, but promised space should exist.

    :raises NoSpace: with both figures.
    """
    available = pool_sizes(host, pool)[1]
    if needed_bytes > available:
        raise NoSpace(
            f"storage pool {pool.name} has {available} bytes available but {needed_bytes} are "
            "needed: free some space, or ask for smaller disks",
            pool=pool.name,
            needed_bytes=needed_bytes,
            available_bytes=available,
        )
