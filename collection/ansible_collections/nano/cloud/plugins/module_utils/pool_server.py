# SPDX-License-Identifier: BSD-2-Clause
"""Whether the server behind a pool is there: asked first, because a mount waits for minutes."""

from __future__ import annotations

import os
import shutil
import socket
from typing import Dict, List, Tuple

from .errors import HypervisorError, Unreachable, Unsupported
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool
from .pool_spec import NETWORK_TYPES, PoolSpec

_ANSWER_SECONDS = 5.0
# NFS: the server itself, or the port mapper of its older versions.
_PORTS: Dict[str, Tuple[int, ...]] = {"nfs": (2049, 111), "glusterfs": (24007,)}
_NAMES = {"nfs": "NFS", "glusterfs": "GlusterFS"}


def is_mounted(host: LibvirtHost, spec: PoolSpec) -> bool:
    """Whether what a server exports is where the pool is; libvirt itself looks at its start only.

    Others have nothing to mount; from afar only libvirt's own word is to be had.
    """
    if spec.type not in NETWORK_TYPES or not host.is_local_hypervisor:
        return True
    return os.path.ismount(spec.path)


def start_pool(host: LibvirtHost, pool: Pool, spec: PoolSpec) -> None:
    """Start it.

    :raises Unsupported: what mounts it is not installed.
    :raises Unreachable: its server does not answer; names server and export.
    :raises HypervisorError: libvirt cannot start it; names them too.
    """
    if spec.type not in NETWORK_TYPES:
        pool.start()
        return
    if host.is_local_hypervisor:
        _check_program(spec)
        _check_answers(spec)
    try:
        pool.start()
    except HypervisorError as error:
        error.message = (
            f"{spec.host}:{spec.source} ({_NAMES[spec.type]}) cannot be mounted for pool "
            f"{spec.name}: {error.message}"
        )
        error.context.update(pool=spec.name, host=spec.host, source=spec.source)
        raise


def _check_program(spec: PoolSpec) -> None:
    program = f"mount.{spec.type}"
    if shutil.which(program, path="/sbin:/usr/sbin:/bin:/usr/bin"):
        return
    raise Unsupported(
        f"this host has no {program}, so {spec.host}:{spec.source} cannot be mounted for pool "
        f"{spec.name}: onboard it with cell_storage_clients: [{spec.type}]",
        pool=spec.name,
        host=spec.host,
        source=spec.source,
    )


def _check_answers(spec: PoolSpec) -> None:
    problems: List[str] = []
    for port in _ports(spec):
        try:
            socket.create_connection((spec.host, port), _ANSWER_SECONDS).close()
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            problems.append(f"port {port}: {reason}")
            continue
        return
    raise Unreachable(
        f"{_NAMES[spec.type]} server {spec.host} does not answer ({'; '.join(problems)}), so "
        f"{spec.source} cannot be mounted for pool {spec.name}: start the server, or check host",
        pool=spec.name,
        host=spec.host,
        source=spec.source,
    )


def _ports(spec: PoolSpec) -> Tuple[int, ...]:
    for option in spec.mount_options:
        key, _equals, value = option.partition("=")
        if key == "port" and value.isdigit() and 0 < int(value) < 65536:
            return (int(value),)
    return _PORTS[spec.type]
