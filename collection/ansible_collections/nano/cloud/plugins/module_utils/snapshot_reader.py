# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots as plain values, for people, the API and diffs: what snapshot_info returns."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Optional

from . import domain_xml
from .errors import CloudError, NotFound
from .guest_reader import VolumeCatalog
from .guest_spec import GuestDisk
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .snapshot_tree import (
    CREATING,
    DELETING,
    HOLDING,
    GuestVolume,
    Snapshot,
    SnapshotTree,
)

_STATES = {CREATING: "creating", DELETING: "deleting", HOLDING: "deleting"}
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def read_snapshots(
    host: LibvirtHost, guest_id: Optional[str], name: Optional[str]
) -> Dict[str, Any]:
    """``{"guest": {"id", "name"}, "current", "snapshots"}`` of one guest.

    :raises NotFound: there is no such guest.
    """
    domain = host.find_domain(guest_id, name)
    if domain is None:
        raise NotFound(f"guest {guest_id or name} does not exist on this host")
    return tree_values(host, domain)


def tree_values(host: LibvirtHost, domain: Domain) -> Dict[str, Any]:
    """A guest's snapshots, oldest first."""
    spec = domain_xml.parse(domain.inactive_xml(secure=False))
    return {
        "guest": {"id": spec.id, "name": spec.name},
        "current": spec.snapshots.current or None,
        "snapshots": [
            snapshot_values(host, spec.snapshots, each) for each in spec.snapshots.snapshots
        ],
    }


def snapshot_values(host: LibvirtHost, tree: SnapshotTree, snapshot: Snapshot) -> Dict[str, Any]:
    """One snapshot; None stands for what cannot be found out."""
    return {
        **wanted_values(snapshot),
        "is_root": not snapshot.parent,
        "is_current": snapshot.name == tree.current,
        "create_time": time.strftime(_TIME_FORMAT, time.gmtime(snapshot.created)),
        "allocated_bytes": _allocated(host, snapshot),
        "state": _STATES.get(snapshot.unfinished, "ready"),
    }


def wanted_values(snapshot: Snapshot) -> Dict[str, Any]:
    """What of a snapshot is asked for, not found."""
    return {
        "name": snapshot.name,
        "description": snapshot.description,
        "backing": snapshot.parent or None,
        "running": snapshot.memory is not None,
    }


def _allocated(host: LibvirtHost, snapshot: Snapshot) -> Optional[int]:
    volumes: List[GuestVolume] = list(snapshot.volumes)
    if snapshot.memory is not None:
        volumes.append(snapshot.memory)
    catalog, total = VolumeCatalog(host), 0
    for ref in volumes:
        try:
            found = catalog.find(GuestDisk(ref.pool, ref.volume))
            if found is None:
                return None
            total += found.sizes()[1]
        except CloudError:
            return None
    return total
