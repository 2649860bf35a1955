# SPDX-License-Identifier: BSD-2-Clause
"""A storage pool as it should be: defined, made, started, or removed."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Optional

from . import constants, domain_xml, pool_xml
from .differences import Differences
from .errors import Conflict, NotFound, Unsupported
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool
from .object_lock import object_lock
from .pool_directory import ownership, set_ownership, wanted_ownership
from .pool_server import is_mounted, start_pool
from .pool_space import pool_sizes
from .pool_spec import NETWORK_TYPES, PoolRequest, PoolSpec, new_spec

# What makes a pool the one that it is: with another of these its volumes would be others.
_IDENTITY = ("type", "path", "host", "source", "monitors", "ceph_user", "secret_uuid")


@dataclass(frozen=True)
class PoolOutcome:
    """What was (in check mode: would be) different, and the pool as it now is."""

    differences: Differences
    pool: Optional[Dict[str, Any]]


def read_pool(host: LibvirtHost, pool: Pool) -> Dict[str, Any]:
    """A pool as plain values; sizes in bytes."""
    spec, state = pool_xml.parse(pool.xml()), pool.info().state
    if state == "active" and not is_mounted(host, spec):
        state = "inaccessible"  # libvirt's word; what it sees there is this host's own directory
    capacity, available = pool_sizes(host, pool) if state == "active" else (0, 0)
    return {
        "name": spec.name,
        "type": spec.type,
        "path": spec.path,
        "host": spec.host,
        "source": spec.source,
        "mount_options": list(spec.mount_options),
        "monitors": list(spec.monitors),
        "shared": pool_xml.is_shared(pool.xml()),
        "state": state,
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
        owned = wanted_ownership(request)
        if owned and not host.is_local_hypervisor:
            raise Unsupported("mode, owner and group need libvirt of the host itself", field="mode")
        before = {} if pool is None else _comparable(host, pool, wanted, owned)
        after = {
            **_definition(wanted),
            "autostart": request.autostart,
            "active": request.active,
            **owned,
        }
        differences = Differences(before, after)
        if not check_mode and differences.changed:
            pool = _make(host, wanted, request) if pool is None else _change(host, pool, wanted)
            _bring_to(host, pool, wanted, request)
            if owned and (request.active or wanted.type == "dir"):
                set_ownership(wanted.path, owned)
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
        return new_spec(request)
    found = pool_xml.parse(pool.inactive_xml())
    for field in _IDENTITY:
        asked, has = getattr(request, field), getattr(found, field)
        if asked is not None and asked != has:
            raise Conflict(
                f"pool {request.name} has {field} {_told(has)}, not {_told(asked)}: its volumes "
                "would be lost to their guests; remove the pool first, or use another name",
                field=field,
                pool=request.name,
            )
    if request.mount_options is None:
        return found
    return replace(found, mount_options=request.mount_options)


def _told(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value or "(none)")


def _definition(spec: PoolSpec) -> Dict[str, Any]:
    shown = {
        "name": spec.name,
        "type": spec.type,
        "path": spec.path,
        "host": spec.host,
        "source": spec.source,
        "mount_options": list(spec.mount_options),
        "monitors": list(spec.monitors),
        "ceph_user": spec.ceph_user,
        "secret_uuid": spec.secret_uuid,
    }
    kept = ("name", "type", "path", *(("mount_options",) if spec.type in NETWORK_TYPES else ()))
    return {name: value for name, value in shown.items() if value or name in kept}


def _is_usable(host: LibvirtHost, pool: Pool, spec: PoolSpec) -> bool:
    return pool.is_active() and is_mounted(host, spec)


def _comparable(
    host: LibvirtHost, pool: Pool, wanted: PoolSpec, owned: Dict[str, Any]
) -> Dict[str, Any]:
    active = _is_usable(host, pool, wanted)
    # Under what is not mounted stands another directory than the one that is meant.
    looked = ownership(wanted.path) if owned and (active or wanted.type == "dir") else {}
    return {
        **_definition(pool_xml.parse(pool.inactive_xml())),
        "autostart": pool.autostart(),
        "active": active,
        **{field: value for field, value in looked.items() if field in owned},
    }


def _make(host: LibvirtHost, wanted: PoolSpec, request: PoolRequest) -> Pool:
    """Define, build and start; a pool that cannot be is not left defined."""
    pool = host.define_pool(pool_xml.build(wanted))
    try:
        if wanted.type in ("dir", *NETWORK_TYPES):
            pool.build()
        if request.active:
            start_pool(host, pool, wanted)
    except BaseException:
        pool.undefine()
        _remove_mount_point(host, wanted)
        raise
    return pool


def _change(host: LibvirtHost, pool: Pool, wanted: PoolSpec) -> Pool:
    xml = pool.inactive_xml()
    if pool_xml.parse(xml).mount_options == wanted.mount_options:
        return pool
    return host.define_pool(pool_xml.with_mount_options(xml, wanted.mount_options))


def _bring_to(host: LibvirtHost, pool: Pool, wanted: PoolSpec, request: PoolRequest) -> None:
    if request.active and not _is_usable(host, pool, wanted):
        if pool.is_active():
            pool.stop()
        start_pool(host, pool, wanted)
    if not request.active and pool.is_active():
        pool.stop()
    if pool.autostart() != request.autostart:
        pool.set_autostart(request.autostart)


def _remove_mount_point(host: LibvirtHost, spec: PoolSpec) -> None:
    """Ours is the directory only where we chose the place, and only while nothing is in it."""
    ours = spec.path == f"{constants.MOUNT_DIRECTORY}/{spec.name}"
    if spec.type in NETWORK_TYPES and ours and host.is_local_hypervisor:
        with contextlib.suppress(OSError):
            os.rmdir(spec.path)


def ensure_pool_absent(
    host: LibvirtHost,
    request: PoolRequest,
    force: bool,
    check_mode: bool,
    lock_timeout_seconds: float,
) -> PoolOutcome:
    """Stop and undefine the pool. The directory and the files in it stay in any case.

    :raises Conflict: guests need it, or volumes would be lost from sight, and ``force`` is false.
    """
    with _locked(request.name, check_mode, lock_timeout_seconds):
        pool = host.find_pool(request.name)
        if pool is None:
            return PoolOutcome(Differences({}, {}), None)
        if not force:
            _check_unused(host, pool)
        spec = pool_xml.parse(pool.inactive_xml())
        differences = Differences(_comparable(host, pool, spec, {}), {})
        if not check_mode:
            if pool.is_active():
                pool.stop()
            pool.undefine()
            _remove_mount_point(host, spec)
        return PoolOutcome(differences, None)


def _check_unused(host: LibvirtHost, pool: Pool) -> None:
    """What is on shared storage is others' too: there only this host's guests count."""
    guests = guests_using(host, pool)
    if guests:
        raise Conflict(
            f"pool {pool.name} is used by {len(guests)} guests ({_first(guests)}): move or remove "
            "them first, or set force",
            pool=pool.name,
            guests=guests[:50],
        )
    if pool_xml.is_shared(pool.xml()):
        return
    volumes = sorted(volume.name for volume in pool.volumes())
    if volumes:
        raise Conflict(
            f"pool {pool.name} has {len(volumes)} volumes ({_first(volumes)}): remove them first, "
            "or set force",
            pool=pool.name,
            volumes=volumes[:50],
        )


def _first(names: List[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def guests_using(host: LibvirtHost, pool: Pool) -> List[str]:
    """Names of this host's guests with a disk or a medium in the pool."""
    directory = pool_xml.parse(pool.xml()).path
    found = []
    for domain in host.domains():
        with contextlib.suppress(NotFound):  # Removed since it was listed.
            files = domain_xml.referenced_files(domain.inactive_xml(secure=False))
            if any(
                pool_name == pool.name or (directory and path.startswith(f"{directory}/"))
                for path, pool_name, _volume in files
            ):
                found.append(domain.name)
    return sorted(found)
