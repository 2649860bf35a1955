# SPDX-License-Identifier: BSD-2-Clause
"""What cells tell each other on the storage that they share; docs/adr/0022-failover.md has why.

The cell's own unit (roles/cell/files/nano-cell-lease) reads and writes the same files.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from . import pool_xml
from .errors import Conflict, NotFound
from .libvirt_host import LibvirtHost

LEASES, DEFINITIONS = ".nano-cloud/leases", ".nano-cloud/definitions"
_BLOCK_BYTES = 512


def shared_path(host: LibvirtHost, pool_name: str) -> Path:
    """Where the shared storage of a pool is mounted here.

    :raises NotFound: there is no such pool.
    :raises Conflict: it is not mounted: what is written there would stay on this host.
    """
    pool = host.find_pool(pool_name)
    if pool is None:
        raise NotFound(f"storage pool {pool_name} does not exist on this host", pool=pool_name)
    path = pool_xml.parse(pool.xml()).path
    if not path or not pool.is_active() or not os.path.ismount(path):
        raise Conflict(
            f"storage pool {pool_name} is no shared storage that is mounted on this host"
            f" ({path or 'it has no directory'})",
            pool=pool_name,
        )
    return Path(path)


def clock() -> float:
    """Seconds since the host's start, those that it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def read_block(path: Path) -> Dict[str, Any]:
    """A small JSON object; ``{}`` when there is none, or it is being written this moment."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_block(path: Path, values: Dict[str, Any]) -> None:
    """Write in place, so that no host looks at an older file of that name, and to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(handle, json.dumps(values).encode().ljust(_BLOCK_BYTES), 0)
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, data: bytes) -> None:
    """Make a private file anew in one step."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    draft = path.with_name(f".{path.name}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def copies_of(shared: Path, cell: str, file_name: str) -> Optional[Path]:
    """The copy of a file of a guest that a cell made; else the newest that another one made."""
    folder = shared / DEFINITIONS
    own = folder / cell / file_name
    if own.exists():
        return own
    others: List[Path] = sorted(
        folder.glob(f"*/{file_name}"), key=lambda each: each.stat().st_mtime
    )
    return others[-1] if others else None
