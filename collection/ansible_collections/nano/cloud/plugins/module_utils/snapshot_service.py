# SPDX-License-Identifier: BSD-2-Clause
"""A guest's snapshots as they should be: taken, gone back to, deleted."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterator, Optional

from .constants import MAX_SNAPSHOTS
from .differences import Differences
from .errors import Conflict, NotFound, Unsupported
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .object_lock import object_lock
from .qemu_img import QemuImg
from .snapshot_creation import check_creation, create_snapshot, new_snapshot
from .snapshot_deletion import check_deletion, delete_snapshot
from .snapshot_guest import SnapshotGuest, settle
from .snapshot_reader import snapshot_values, wanted_values
from .snapshot_restoration import check_restoration, is_as_in, restore_snapshot
from .snapshot_spec import SnapshotRequest
from .snapshot_tree import DELETING, HOLDING, Snapshot

NOTHING = Differences({}, {})


@dataclass(frozen=True)
class SnapshotOutcome:
    """What was (in check mode: would be) different, the snapshot, and how far it is (0 to 100).

    ``acted`` is true when a guest went back to a state in which it ran: nothing tells how far it
    had come since.
    """

    differences: Differences
    snapshot: Optional[Dict[str, Any]]
    progress: int = 100
    acted: bool = False


def ensure_snapshot(
    host: LibvirtHost,
    request: SnapshotRequest,
    check_mode: bool,
    lock_timeout_seconds: float,
    tool: Optional[QemuImg] = None,
) -> SnapshotOutcome:
    """Have the snapshot, not have it, or go back to it.

    :raises CloudError: it cannot be done; names the guest and the snapshot.
    """
    deadline = time.monotonic() + request.wait_seconds if request.wait_seconds else None
    with _locked(host, request, check_mode, lock_timeout_seconds) as domain:
        if domain is None:
            if request.state == "absent":
                return SnapshotOutcome(NOTHING, None)
            raise NotFound(f"guest {request.id or request.name} does not exist on this host")
        guest = SnapshotGuest(host, domain, tool or _tool(host), lock_timeout_seconds)
        if not check_mode:
            _settle(guest, request)
        if request.state == "present":
            return _present(guest, request, check_mode)
        if request.state == "restored":
            return _restored(guest, request, check_mode)
        return _absent(guest, request, check_mode, deadline)


def _tool(host: LibvirtHost) -> QemuImg:
    if not host.is_local_hypervisor:
        raise Unsupported(
            f"snapshots need the files of {host.uri}: run the module on the libvirt host itself",
            uri=host.uri,
        )
    return QemuImg()


@contextlib.contextmanager
def _locked(
    host: LibvirtHost, request: SnapshotRequest, check_mode: bool, timeout_seconds: float
) -> Iterator[Optional[Domain]]:
    domain = host.find_domain(request.id, request.name)
    if domain is None or check_mode:
        yield domain
        return
    with object_lock("guest", domain.id, timeout_seconds):
        yield host.find_domain(domain.id, None)


def _settle(guest: SnapshotGuest, request: SnapshotRequest) -> None:
    """Finish first what an interrupted run began, unless this very request goes on with it."""
    settle(guest)
    while True:
        begun = guest.tree.unfinished(DELETING, HOLDING)
        if begun is None or (request.state == "absent" and begun.name == request.snapshot):
            return
        delete_snapshot(guest, begun.name, deadline=None)


def _present(guest: SnapshotGuest, request: SnapshotRequest, check_mode: bool) -> SnapshotOutcome:
    found = guest.tree.find(request.snapshot)
    if found is not None:
        return _described(guest, request, found, check_mode)
    guest.check_usable()
    if len(guest.tree.snapshots) >= MAX_SNAPSHOTS:
        raise Conflict(
            f"guest {guest.name} has {MAX_SNAPSHOTS} snapshots: delete one before taking "
            f"{request.snapshot}",
            guest=guest.name,
            snapshot=request.snapshot,
        )
    new = new_snapshot(guest, request, int(time.time()))
    check_creation(guest, new)
    differences = Differences(
        {"current": guest.tree.current or None},
        {"current": new.name, "snapshot": wanted_values(new)},
    )
    if not check_mode:
        create_snapshot(guest, new)
    return SnapshotOutcome(differences, _values(guest, request.snapshot))


def _described(
    guest: SnapshotGuest, request: SnapshotRequest, found: Snapshot, check_mode: bool
) -> SnapshotOutcome:
    """Of a snapshot that exists only the description can change."""
    if request.memory and found.memory is None:
        raise Conflict(
            f"snapshot {found.name} of guest {guest.name} exists without memory: delete it first, "
            "or use another name",
            field="memory",
            guest=guest.name,
            snapshot=found.name,
        )
    wanted = found
    if request.description is not None:
        wanted = replace(found, description=request.description)
    differences = Differences(
        {"snapshot": wanted_values(found)}, {"snapshot": wanted_values(wanted)}
    )
    if differences.changed and not check_mode:
        guest.save(guest.tree.with_snapshot(wanted))
    return SnapshotOutcome(differences, _values(guest, found.name))


def _restored(guest: SnapshotGuest, request: SnapshotRequest, check_mode: bool) -> SnapshotOutcome:
    found = guest.tree.find(request.snapshot)
    if found is None:
        raise NotFound(
            f"guest {guest.name} has no snapshot {request.snapshot}",
            guest=guest.name,
            snapshot=request.snapshot,
        )
    if request.memory and found.memory is None:
        raise Conflict(
            f"snapshot {found.name} of guest {guest.name} has no memory to go back to",
            field="memory",
            guest=guest.name,
            snapshot=found.name,
        )
    memory = found.memory is not None and request.memory is not False
    guest.check_usable()
    if not memory and is_as_in(guest, found):
        return SnapshotOutcome(NOTHING, _values(guest, found.name))
    check_restoration(guest, found, request.force)
    differences = Differences(
        {
            "current": guest.tree.current or None,
            "state": guest.domain.state(),
            "disks": "written to since",
        },
        {
            "current": found.name,
            "state": "running" if memory else "stopped",
            "disks": "as in the snapshot",
        },
    )
    if not check_mode:
        restore_snapshot(guest, found, memory)
    return SnapshotOutcome(differences, _values(guest, found.name), acted=memory)


def _absent(
    guest: SnapshotGuest, request: SnapshotRequest, check_mode: bool, deadline: Optional[float]
) -> SnapshotOutcome:
    found = guest.tree.find(request.snapshot)
    if found is None:
        return SnapshotOutcome(NOTHING, None)
    guest.check_usable()
    if not found.unfinished:
        check_deletion(guest, found)
    after = guest.tree.without_snapshot(found.name)
    differences = Differences(
        {"current": guest.tree.current or None, "snapshot": wanted_values(found)},
        {"current": after.current or None},
    )
    progress = 0 if check_mode else delete_snapshot(guest, found.name, deadline)
    return SnapshotOutcome(differences, _values(guest, found.name), progress)


def _values(guest: SnapshotGuest, name: str) -> Optional[Dict[str, Any]]:
    found = guest.tree.find(name)
    return None if found is None else snapshot_values(guest.host, guest.tree, found)
