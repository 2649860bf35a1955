# SPDX-License-Identifier: BSD-2-Clause
"""Whether a guest can move to another host, and how. Reads both hosts and changes neither.

Everything that would make a migration fail half way is asked here first, because libvirt finds
most of it out only after it has begun.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import Iterator, List, Optional, Tuple

from . import domain_xml, names, pool_xml, volume_xml
from .errors import Conflict, InvalidInput, NoSpace, NotFound, Unreachable, Unsupported
from .guest_spec import GuestDisk, GuestSpec
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .migration_spec import MigrateRequest
from .snapshot_tree import has_snapshots

_SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")


@dataclass(frozen=True)
class MigrationPlan:
    """How a guest moves.

    ``copied``: (pool, volume, disk's device name) of each disk that is on one host only;
    ``seeds``: (pool, volume) of read-only media that have to be there too. ``display_port``: the
    port to use on the target, None: the same.
    """

    guest_id: str
    name: str
    live: bool
    copied: Tuple[Tuple[str, str, str], ...]
    seeds: Tuple[Tuple[str, str], ...]
    auto_start: bool
    display_port: Optional[int]

    @property
    def mode(self) -> str:
        """``live`` or ``cold``."""
        return "live" if self.live else "cold"

    @property
    def storage(self) -> str:
        """``shared`` or ``copied``."""
        return "copied" if self.copied else "shared"


def check_hosts_differ(source: LibvirtHost, target: LibvirtHost, request: MigrateRequest) -> None:
    """:raises InvalidInput: the target is the host that the guest is on"""
    if source.hostname() == target.hostname():
        raise InvalidInput(
            f"target {request.target} is this host itself ({source.hostname()})", field="target"
        )


def plan_migration(
    source: LibvirtHost, target: LibvirtHost, domain: Domain, request: MigrateRequest
) -> MigrationPlan:
    """What has to be done.

    :raises CloudError: it cannot work; says why and what to do.
    """
    spec = domain_xml.parse(domain.inactive_xml(secure=False))
    live = _check_state(domain, spec, request)
    _check_target_can_run_it(target, spec, request)
    if target.find_domain(None, spec.name) is not None:
        raise Conflict(f"{request.target} has another guest named {spec.name}: rename one of them")
    copied = _disks_to_copy(source, target, domain, spec, request)
    _check_room(source, target, spec, copied, live)
    _check_bridge(spec, request)
    _check_port(target, spec, request, live)
    return MigrationPlan(
        guest_id=domain.id,
        name=spec.name,
        live=live,
        copied=tuple(copied),
        seeds=tuple(_seeds(source, target, domain, request)),
        auto_start=domain.autostart(),
        display_port=request.display_port,
    )


def _check_state(domain: Domain, spec: GuestSpec, request: MigrateRequest) -> bool:
    """Whether it moves while it runs."""
    if not domain.is_persistent():
        raise Conflict(f"guest {spec.name} is transient: it has no definition that could move")
    if spec.incomplete:
        raise Conflict(
            f"guest {spec.name} is incomplete: its creation or removal was interrupted; run that "
            "again first"
        )
    if domain.snapshot_count():
        raise Conflict(
            f"guest {spec.name} has snapshots of libvirt's own, which cannot move: delete them"
        )
    if not domain.is_active():
        if domain.has_saved_state():
            raise Conflict(f"guest {spec.name} is suspended to disk: start it first")
        return False
    state = domain.state()
    if request.mode == "cold":
        raise Conflict(f"guest {spec.name} is {state}: stop it, or migrate it live")
    if state not in ("running", "paused"):
        raise Conflict(f"guest {spec.name} is {state}: start or stop it first")
    return True


def _check_target_can_run_it(target: LibvirtHost, spec: GuestSpec, request: MigrateRequest) -> None:
    found = target.capabilities()
    if found.arch != spec.arch or spec.domain_type not in found.domain_types:
        raise Unsupported(
            f"{request.target} cannot run guest {spec.name}: it needs {spec.domain_type} for "
            f"{spec.arch}, there is {' and '.join(found.domain_types)} for {found.arch}",
            target=request.target,
        )


def _disks_to_copy(
    source: LibvirtHost,
    target: LibvirtHost,
    domain: Domain,
    spec: GuestSpec,
    request: MigrateRequest,
) -> List[Tuple[str, str, str]]:
    targets = domain_xml.facts(domain.inactive_xml(secure=False)).disk_targets
    copied = []
    for disk, device in zip(spec.disks, targets):
        if request.mode == "shared":
            continue
        if not disk.volume:
            raise Unsupported(
                f"disk {device} of guest {spec.name} is {disk.path or 'remote'}, in no pool: say "
                "mode=shared if both hosts have it",
                disk=device,
            )
        if _is_shared(source, target, disk.pool, request):
            _check_beneath(source, target, disk, device, request)
            continue
        _check_copy(source, target, spec, disk, device, request)
        copied.append((disk.pool, disk.volume, device))
    if request.mode == "copy" and not copied and spec.disks:
        raise InvalidInput(
            f"the disks of guest {spec.name} are on shared storage: nothing is to be copied",
            field="mode",
        )
    return copied


def _is_shared(
    source: LibvirtHost, target: LibvirtHost, pool_name: str, request: MigrateRequest
) -> bool:
    here, there = source.find_pool(pool_name), target.find_pool(pool_name)
    if here is None:
        raise NotFound(f"storage pool {pool_name} does not exist on this host", pool=pool_name)
    if there is None or not there.is_active():
        state = "has no" if there is None else "has no active"
        raise NotFound(
            f"{request.target} {state} storage pool {pool_name}: make it there first",
            pool=pool_name,
        )
    mine, other = here.xml(), there.xml()
    if pool_xml.is_shared(mine) and not pool_xml.same_content(mine, other):
        told = [pool_xml.parse(each) for each in (mine, other)]
        texts = [f"{each.type} {each.host}:{each.source}" for each in told]
        raise Conflict(
            f"storage pool {pool_name} is {texts[0]} on this host and {texts[1]} on "
            f"{request.target}: where they are the same, name the same server on both",
            pool=pool_name,
        )
    return pool_xml.is_shared(mine)


def _check_beneath(
    source: LibvirtHost,
    target: LibvirtHost,
    disk: GuestDisk,
    device: str,
    request: MigrateRequest,
) -> None:
    """A disk on shared storage may stand on an image that is not."""
    there = target.find_pool(disk.pool)
    if there is not None:
        there.refresh()  # What this host put there is news to the other one.
    for beneath in _layers_beneath(source, disk):
        if target.place_of(beneath):
            continue
        raise NotFound(
            f"disk {device} of guest {request.name or request.id} is on shared storage, but the "
            f"image beneath it ({beneath}) is not on {request.target}: fetch the image there "
            "first, and next time give image_pool the shared pool",
            disk=device,
            path=beneath,
        )


def _layers_beneath(source: LibvirtHost, disk: GuestDisk) -> Iterator[str]:
    place: Optional[Tuple[str, str]] = (disk.pool, disk.volume)
    while place is not None:
        pool = source.find_pool(place[0])
        volume = pool.find_volume(place[1]) if pool else None
        beneath = volume_xml.parse(volume.xml()).backing_path if volume else ""
        if not beneath:
            return
        yield beneath
        place = source.place_of(beneath)


def _check_copy(
    source: LibvirtHost,
    target: LibvirtHost,
    spec: GuestSpec,
    disk: GuestDisk,
    device: str,
    request: MigrateRequest,
) -> None:
    pool, there = source.find_pool(disk.pool), target.find_pool(disk.pool)
    volume = pool.find_volume(disk.volume) if pool else None
    if volume is None:
        raise NotFound(f"volume {disk.volume} of disk {device} does not exist in {disk.pool}")
    if there and there.find_volume(disk.volume):
        raise Conflict(
            f"{request.target} has a volume {disk.volume} in pool {disk.pool} that belongs to no "
            "guest there: it may hold data; delete it first",
            volume=disk.volume,
        )
    backing = os.path.basename(volume_xml.parse(volume.xml()).backing_path)
    if has_snapshots(spec) or names.is_volume_of(spec.id, backing):
        raise Unsupported(
            f"guest {spec.name} has snapshots, and its disk {device} is not on shared storage: "
            "delete the snapshots first",
            disk=device,
        )


def _check_room(
    source: LibvirtHost,
    target: LibvirtHost,
    spec: GuestSpec,
    copied: List[Tuple[str, str, str]],
    live: bool,
) -> None:
    if live:
        found = target.memory_statistics()
        free = sum(found.get(name, 0) for name in ("free", "buffers", "cached"))
        if spec.memory_bytes > free:
            raise NoSpace(
                f"guest {spec.name} needs {spec.memory_bytes} bytes of memory, "
                f"{target.hostname()} has {free} available",
                needed_bytes=spec.memory_bytes,
                available_bytes=free,
            )
    needed: dict[str, int] = {}
    for pool_name, volume_name, _device in copied:
        pool = source.find_pool(pool_name)
        volume = pool.find_volume(volume_name) if pool else None
        needed[pool_name] = needed.get(pool_name, 0) + (volume.sizes()[0] if volume else 0)
    for pool_name, size in needed.items():
        there = target.find_pool(pool_name)
        available = there.info().available_bytes if there else 0
        if size > available:
            raise NoSpace(
                f"storage pool {pool_name} of {target.hostname()} has {available} bytes available "
                f"but {size} are needed",
                pool=pool_name,
                needed_bytes=size,
                available_bytes=available,
            )


def _check_bridge(spec: GuestSpec, request: MigrateRequest) -> None:
    """libvirt itself cannot be asked for the bridges of another host."""
    if spec.network is None or not spec.network.bridge or "+ssh" not in request.target_uri:
        return
    bridge = names.check_bridge_name(spec.network.bridge)
    command = [*_SSH, f"root@{request.target}", "test", "-d", f"/sys/class/net/{bridge}/bridge"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode == 255:
        reason = done.stderr.decode(errors="replace").strip()[-200:]
        raise Unreachable(f"root cannot log in to {request.target} by ssh: {reason}")
    if done.returncode:
        raise NotFound(
            f"{request.target} has no bridge {bridge}, which guest {spec.name} is attached to",
            bridge=bridge,
        )


def _check_port(target: LibvirtHost, spec: GuestSpec, request: MigrateRequest, live: bool) -> None:
    port = request.display_port or (spec.display.port if spec.display else None)
    if not port or not live:
        return
    for other in target.domains():
        if other.is_active() and domain_xml.facts(other.active_xml(False)).display_port == port:
            raise Conflict(
                f"display port {port} of guest {spec.name} is used by guest {other.name} on "
                f"{request.target}: set display_port",
                port=port,
            )


def _seeds(
    source: LibvirtHost, target: LibvirtHost, domain: Domain, request: MigrateRequest
) -> List[Tuple[str, str]]:
    """The guest's own media that go with it.

    :raises Conflict: another medium is inserted that the target does not have.
    """
    found = []
    for path, pool_name, volume_name in domain_xml.inserted_media(domain.inactive_xml(False)):
        place = (pool_name, volume_name) if volume_name else source.place_of(path)
        own = place is not None and place[1] == names.cloud_init_volume_name(domain.id)
        if place and own and request.mode != "shared":
            # What the target may have of that name is of an earlier stay.
            if not _is_shared(source, target, place[0], request):
                found.append(place)
            continue
        there = target.find_pool(place[0]) if place else None
        if place and there and there.is_active():
            there.refresh()
            if there.find_volume(place[1]):
                continue
        medium = path or f"{pool_name}/{volume_name}"
        raise Conflict(
            f"medium {medium} is inserted into guest {domain.name}, and {request.target} does "
            "not have it: eject it, or fetch it there first",
            medium=medium,
        )
    return found
