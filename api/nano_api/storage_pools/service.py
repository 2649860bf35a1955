# SPDX-License-Identifier: Apache-2.0
"""Storage pools: records. Cells mount them when they join a compute pool. Nothing here commits."""

from __future__ import annotations

import ipaddress
import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from nano_api.compute_pools.tables import ComputePool
from nano_api.errors import Conflict, InvalidInput, NotFound
from nano_api.naming import check_object_name
from nano_api.storage_pools.placement import LOCAL_POOLS
from nano_api.storage_pools.tables import StoragePool

from ansible_collections.nano.cloud.plugins.module_utils.names import check_absolute_path  # isort: skip

#: Nano has the first one only.
STORAGE_TYPES = ("nfs", "glusterfs")
_VOLUME_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")


def list_pools(session: Session) -> list[StoragePool]:
    """All pools, by name."""
    return list(session.scalars(select(StoragePool).order_by(StoragePool.name)))


def get(session: Session, name: str) -> StoragePool:
    """:raises NotFound: there is no such pool"""
    pool = session.get(StoragePool, name)
    if pool is None:
        raise NotFound(f"invalid storage pool '{name[:80]}'", pool=name[:80])
    return pool


def create(session: Session, name: str, *, type: str, host: str, target: str) -> None:  # noqa: A002
    """A new record; no cell is touched.

    :raises InvalidInput: a field is missing or breaks its rule
    :raises Conflict: the name is taken
    """
    check_object_name(name, "storage pool")
    if name in LOCAL_POOLS:
        raise InvalidInput(
            f"invalid storage pool '{name}': every cell has a pool of its own of that name",
            field="name",
        )
    values = _checked(type, host, target)
    if session.get(StoragePool, name):
        raise Conflict(f"storage pool '{name}' already exists", pool=name)
    session.add(StoragePool(name=name, **values))
    session.flush()


def change(session: Session, name: str, *, type: str, host: str, target: str) -> None:  # noqa: A002
    """Replace the settings.

    :raises NotFound: there is no such pool
    :raises InvalidInput: a field is missing or breaks its rule
    :raises Conflict: a compute pool uses it
    """
    pool = get(session, name)
    values = _checked(type, host, target)
    _check_unused(session, name)
    for field, value in values.items():
        setattr(pool, field, value)


def remove(session: Session, name: str) -> None:
    """Delete the record; what is stored there stays.

    :raises NotFound: there is no such pool
    :raises Conflict: a compute pool uses it
    """
    pool = get(session, name)
    _check_unused(session, name)
    session.delete(pool)
    session.flush()


def _check_unused(session: Session, name: str) -> None:
    user = session.scalar(select(ComputePool.name).where(ComputePool.storage == name))
    if user:
        raise Conflict(f"storage pool '{name}' is used by compute pool '{user}'", pool=name)


def _checked(kind: str, host: str, target: str) -> dict[str, str]:
    if kind not in STORAGE_TYPES:
        raise InvalidInput(
            f"unsupported storage type '{kind[:40]}': use {' or '.join(STORAGE_TYPES)}",
            field="type",
        )
    if not host:
        raise InvalidInput("host required", field="host")
    if not target:
        raise InvalidInput("target required", field="target")
    return {
        "type": kind,
        "host": _check_host(host),
        "target": _check_target(kind, target),
    }


def _check_target(kind: str, target: str) -> str:
    if kind == "nfs":
        return check_absolute_path(target, "target")
    volume = target.removeprefix("/")
    if not _VOLUME_NAME.fullmatch(volume):
        raise InvalidInput(
            f"invalid target '{target[:80]}': a GlusterFS volume's name has letters, digits,"
            " '_' and '-'",
            field="target",
        )
    return volume


def _check_host(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        if not _HOST_NAME.fullmatch(host):
            raise InvalidInput(
                f"invalid host '{host[:80]}': neither a name nor an address", field="host"
            ) from None
        return host
