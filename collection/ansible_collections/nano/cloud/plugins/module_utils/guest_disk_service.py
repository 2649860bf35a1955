# SPDX-License-Identifier: BSD-2-Clause
"""One disk of a guest as it should be: there and large enough, gone, compact, or as its image.

A disk is known by its number: 0 is the system disk, the others keep the number that they were
given whatever becomes of their neighbours.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Optional, Tuple

from . import domain_xml, names
from .constants import MAX_DISKS
from .differences import Differences
from .disk_rewriting import ensure_rewritten
from .errors import Conflict, InvalidInput, NotFound
from .guest_disk_spec import ABSENT, COMPACTED, RESET, DiskStateRequest
from .guest_reader import VolumeCatalog, disk_numbers, position_of, read_guest
from .guest_service import change_guest
from .guest_spec import DiskRequest, GuestRequest, GuestSpec
from .guest_volumes import delete_volume, volumes_of
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool, Volume
from .object_lock import object_lock
from .snapshot_tree import is_frozen

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class DiskOutcome:
    """What was (in check mode: would be) different, the guest, and how far it is (0 to 100)."""

    differences: Differences
    guest: Dict[str, Any]
    progress: int = 100
    warnings: List[str] = field(default_factory=list)


def ensure_disk(
    host: LibvirtHost, request: DiskStateRequest, check_mode: bool, lock_timeout_seconds: float
) -> DiskOutcome:
    """Make the disk what the request says.

    :raises NotFound: there is no such guest, disk or image.
    :raises CloudError: it cannot be done; nothing was changed.
    """
    domain = _find(host, request)
    if request.state in (COMPACTED, RESET):
        differences, progress = ensure_rewritten(
            host, domain, request, check_mode, lock_timeout_seconds
        )
        return DiskOutcome(differences, _read(host, request, check_mode), progress)
    with contextlib.ExitStack() as locks:
        if not check_mode:
            locks.enter_context(object_lock("guest", domain.id, lock_timeout_seconds))
            domain = _find(host, request)
        change = _absent if request.state == ABSENT else _present
        differences, warnings = change(host, domain, request, check_mode, lock_timeout_seconds)
        return DiskOutcome(differences, _read(host, request, check_mode), 100, warnings)


def _find(host: LibvirtHost, request: DiskStateRequest) -> Domain:
    domain = host.find_domain(request.id, request.name)
    if domain is None:
        raise NotFound(f"guest {request.id or request.name} does not exist on this host")
    return domain


def _read(host: LibvirtHost, request: DiskStateRequest, check_mode: bool) -> Dict[str, Any]:
    return read_guest(_find(host, request), VolumeCatalog(host), secure=not check_mode)


# -- there, and large enough ----------------------------------------------------------------------


def _present(
    host: LibvirtHost,
    domain: Domain,
    request: DiskStateRequest,
    check_mode: bool,
    _wait_seconds: float,
) -> Tuple[Differences, List[str]]:
    """As ``guest`` does it: the same guest with a larger disk, or one more."""
    spec = domain_xml.parse(domain.inactive_xml(secure=False))
    values = read_guest(domain, VolumeCatalog(host))
    disks = [DiskRequest(each["size_bytes"] or 0) for each in values["disks"]]
    position = position_of(spec, request.disk)
    if position is not None:
        if request.size_bytes is not None:
            disks[position] = DiskRequest(request.size_bytes)
    else:
        disks.append(_new_disk(host, spec, request))
    outcome = change_guest(host, domain, GuestRequest(id=domain.id, disks=tuple(disks)), check_mode)
    return outcome.differences, outcome.warnings


def _new_disk(host: LibvirtHost, spec: GuestSpec, request: DiskStateRequest) -> DiskRequest:
    if request.disk == 0 and spec.disks:
        raise Conflict(
            f"guest {spec.name} has no disk 0 in a storage pool, and others in its place",
            guest=spec.name,
        )
    if len(spec.disks) >= MAX_DISKS:
        raise Conflict(f"guest {spec.name} has {MAX_DISKS} disks already", guest=spec.name)
    kept = _kept_volumes(host, spec.id, request.disk)
    if not kept:
        if request.size_bytes is None:
            raise InvalidInput(
                f"guest {spec.name} has no disk {request.disk}: size_bytes is required to make it",
                field="size_bytes",
            )
        volume = names.volume_name(spec.id, request.disk)
        return DiskRequest(request.size_bytes, volume=volume)
    (volume, size) = (kept[0][1].name, kept[0][1].sizes()[0])
    if len(kept) > 1 or request.size_bytes not in (None, size):
        raise Conflict(
            f"disk {request.disk} of guest {spec.name} was detached and kept as "
            f"{', '.join(each.name for _pool, each in kept)} with {size} bytes: attach it with "
            "that size and grow it then, or delete it with state absent and delete_volume",
            field="size_bytes",
            guest=spec.name,
        )
    return DiskRequest(size, volume=volume)


def _kept_volumes(host: LibvirtHost, guest_id: str, number: int) -> List[Tuple[Pool, Volume]]:
    """What there is of a disk that the guest does not have."""
    return [
        (pool, volume)
        for pool, volume in volumes_of(host, guest_id)
        if names.disk_number(guest_id, volume.name) == number
    ]


# -- gone -----------------------------------------------------------------------------------------


def _absent(
    host: LibvirtHost,
    domain: Domain,
    request: DiskStateRequest,
    check_mode: bool,
    wait_seconds: float,
) -> Tuple[Differences, List[str]]:
    spec = domain_xml.parse(domain.inactive_xml(secure=False))
    attached = position_of(spec, request.disk) is not None or _live_index(domain, request.disk) >= 0
    if attached:
        _check_detachable(domain, spec, request)
    volumes = _kept_volumes(host, spec.id, request.disk)
    before = {"attached": attached, "volumes": sorted(volume.name for _pool, volume in volumes)}
    gone = request.delete_volume
    after = {"attached": False, "volumes": [] if gone else before["volumes"]}
    differences = Differences(before, after)
    if check_mode or not differences.changed:
        return differences, []
    _unplug(domain, spec, request)
    _undefine(host, domain, request.disk)
    if request.delete_volume:
        for _pool, volume in volumes:
            delete_volume(volume, wait_seconds)
    return differences, []


def _check_detachable(domain: Domain, spec: GuestSpec, request: DiskStateRequest) -> None:
    problem = ""
    position = position_of(spec, request.disk)
    if not domain.is_persistent():
        problem = "is transient: it has no definition that could be changed"
    elif domain.has_saved_state():
        problem = "has a saved state that expects its disks as they are: start it first"
    elif position is not None and is_frozen(spec, spec.disks[position]):
        problem = f"has snapshots with a state of disk {request.disk}: delete those first"
    if problem:
        raise Conflict(f"guest {spec.name} {problem}", field="disk", guest=spec.name)


def _live_index(domain: Domain, number: int) -> int:
    """Where the disk is among those of the running guest; -1: it is not there."""
    if not domain.is_active():
        return -1
    running = domain_xml.parse(domain.active_xml(secure=False))
    numbers = disk_numbers(replace(running, id=domain.id))
    return numbers.index(number) if number in numbers else -1


def _unplug(domain: Domain, spec: GuestSpec, request: DiskStateRequest) -> None:
    """Out of the running guest first: when it does not let go, nothing has changed."""
    index = _live_index(domain, request.disk)
    if index < 0:
        return
    domain.detach_live(domain_xml.disk_xml(domain.active_xml(secure=True), index))
    deadline = time.monotonic() + request.timeout_seconds
    while _live_index(domain, request.disk) >= 0:
        if time.monotonic() >= deadline:
            raise Conflict(
                f"guest {spec.name} did not let go of disk {request.disk} within "
                f"{request.timeout_seconds} s: unmount it in the guest and try again, allow more "
                "time, or stop the guest",
                guest=spec.name,
                timeout_seconds=request.timeout_seconds,
            )
        time.sleep(_POLL_SECONDS)


def _undefine(host: LibvirtHost, domain: Domain, number: int) -> None:
    xml = domain.inactive_xml(secure=True)
    position: Optional[int] = position_of(domain_xml.parse(xml), number)
    if position is not None:
        host.define_domain(domain_xml.without_disk(xml, position))
