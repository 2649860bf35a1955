# SPDX-License-Identifier: BSD-2-Clause
"""A storage pool as it should be: defined, made, started, or removed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from . import pool_xml
from .differences import Differences
from .errors import Conflict, InvalidInput
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool
from .object_lock import object_lock
from .pool_space import pool_sizes
from .pool_spec import PoolRequest, PoolSpec


@dataclass(frozen=True)
class PoolOutcome:
    """What was (in check mode: would be) different, and the pool as it now is."""

    differences: Differences
    pool: Optional[Dict[str, Any]]


def read_pool(host: LibvirtHost, pool: Pool) -> Dict[str, Any]:
    """A pool as plain values; sizes in bytes."""
    spec, info = pool_xml.parse(pool.xml()), pool.info()
    capacity, available = pool_sizes(host, pool) if info.state == "active" else (0, 0)
    return {
        "name": spec.name,
        "type": spec.type,
        "path": spec.path,
        "state": info.state,
        "autostart": pool.autostart(),
        "capacity_bytes": capacity,
        "allocation_bytes": capacity - available,
        "available_bytes": available,
    }


def read_pools(host: LibvirtHost) -> List[Dict[str, Any]]:
    """All pools, sorted by name."""
    pools = [read_pool(host, pool) for pool in host.pools()]
    return sorted(pools, key=lambda pool: str(pool["name"]))


def ensure_pool_present(
    host: LibvirtHost, request: PoolRequest, check_mode: bool, lock_timeout_seconds: float
) -> PoolOutcome:
    """Define the pool, make its directory, start it and have it start with the host, as asked.

    :raises Conflict: the pool exists with another type or path; its volumes would be lost to it.
    """
    with _locked(request.name, check_mode, lock_timeout_seconds):
        pool = host.find_pool(request.name)
        wanted = _wanted_spec(request, pool)
        before = {} if pool is None else _comparable(pool)
        after = {
            "name": wanted.name,
            "type": wanted.type,
            "path": wanted.path,
            "autostart": request.autostart,
            "active": request.active,
        }
        differences = Differences(before, after)
        if not check_mode and differences.changed:
            pool = pool or _define(host, wanted)
            _bring_to(pool, request)
        shown = None if pool is None else read_pool(host, pool)
        return PoolOutcome(differences, shown)


@contextlib.contextmanager
def _locked(name: str, check_mode: bool, timeout_seconds: float) -> Any:
    if check_mode:
        yield
        return
    with object_lock("pool", name, timeout_seconds):
        yield


def _wanted_spec(request: PoolRequest, pool: Optional[Pool]) -> PoolSpec:
    if pool is None:
        if request.path is None:
            raise InvalidInput("path is required to create a pool", field="path")
        return PoolSpec(request.name, request.type, request.path)
    found = pool_xml.parse(pool.xml())
    for name, asked, has in (
        ("type", request.type, found.type),
        ("path", request.path or found.path, found.path),
    ):
        if asked != has:
            raise Conflict(
                f"pool {request.name} has {name} {has}, not {asked}: its volumes would be lost "
                "to their guests; remove the pool first, or use another name",
                field=name,
                pool=request.name,
            )
    return found


def _comparable(pool: Pool) -> Dict[str, Any]:
    spec = pool_xml.parse(pool.xml())
    return {
        "name": spec.name,
        "type": spec.type,
        "path": spec.path,
        "autostart": pool.autostart(),
        "active": pool.is_active(),
    }


def _define(host: LibvirtHost, wanted: PoolSpec) -> Pool:
    """Define and build; a pool whose directory cannot be made is not left defined."""
    pool = host.define_pool(pool_xml.build(wanted))
    try:
        pool.build()
    except BaseException:
        pool.undefine()
        raise
    return pool


def _bring_to(pool: Pool, request: PoolRequest) -> None:
    if request.active and not pool.is_active():
        pool.start()
    if not request.active and pool.is_active():
        pool.stop()
    if pool.autostart() != request.autostart:
        pool.set_autostart(request.autostart)


def ensure_pool_absent(
    host: LibvirtHost,
    request: PoolRequest,
    force: bool,
    check_mode: bool,
    lock_timeout_seconds: float,
) -> PoolOutcome:
    """Stop and undefine the pool. The directory and the files in it stay in any case.

    :raises Conflict: it has volumes and ``force`` is false.
    """
    with _locked(request.name, check_mode, lock_timeout_seconds):
        pool = host.find_pool(request.name)
        if pool is None:
            return PoolOutcome(Differences({}, {}), None)
        volumes = sorted(volume.name for volume in pool.volumes())
        if volumes and not force:
            raise Conflict(
                f"pool {pool.name} has {len(volumes)} volumes ({', '.join(volumes[:5])}"
                f"{', …' if len(volumes) > 5 else ''}): remove them first, or set force",
                pool=pool.name,
                volumes=volumes[:50],
            )
        differences = Differences(_comparable(pool), {})
        if not check_mode:
            if pool.is_active():
                pool.stop()
            pool.undefine()
        return PoolOutcome(differences, None)
