# SPDX-License-Identifier: BSD-2-Clause
"""Making a guest: the domain first, marked incomplete, then its volumes, then the mark goes.

So a run that dies half-way leaves a domain that says so, and that nothing starts; the next run
finds it and completes it. A failure that can still act removes everything again.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Iterator, List, Optional

from . import domain_xml
from .cloud_init_medium import MediumPlan, written
from .errors import CloudError, Conflict
from .guest_requirements import check_requirements
from .guest_spec import GuestRequest, GuestSpec
from .guest_volumes import (
    VolumeMaker,
    VolumePlan,
    check_room,
    delete_volume,
    plan_volumes,
    volumes_of,
)
from .image_lock import image_lock
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .names import cloud_init_volume_name


def create_guest(
    host: LibvirtHost,
    spec: GuestSpec,
    request: GuestRequest,
    medium: Optional[MediumPlan],
    check_mode: bool,
    lock_timeout_seconds: float,
) -> None:
    """Make the guest that ``spec`` describes, or complete one that is marked incomplete.

    :raises CloudError: something is missing, in the way or full; nothing is left behind.
    """
    image = next((disk.image for disk in spec.disks if disk.image), "")
    with _image_kept(host, image, request.image_pool, check_mode, lock_timeout_seconds):
        leftover = host.find_domain(spec.id, None)
        plans = plan_volumes(host, spec.disks, request.disks or (), request.image_pool)
        maker = VolumeMaker(unused=leftover is not None, wait_seconds=lock_timeout_seconds)
        check_requirements(host, spec, None)
        check_neighbours(host, spec)
        check_room(host, plans, growth=[])
        for plan in plans:
            maker.check(plan)
        if not check_mode:
            with written(host, medium):
                _make(host, spec, bool(request.auto_start), plans, maker, leftover)


@contextlib.contextmanager
def _image_kept(
    host: LibvirtHost, image: str, pool: str, check_mode: bool, lock_timeout_seconds: float
) -> Iterator[None]:
    """Nobody removes the image between the look at it and the volume that names it."""
    if not image or check_mode:
        yield
        return
    with image_lock(host, pool, image, lock_timeout_seconds, shared=True):
        yield


def check_neighbours(host: LibvirtHost, spec: GuestSpec) -> None:
    """Refuse a name, a MAC or a volume that another guest on this host has.

    :raises Conflict: names the other guest.
    """
    mac = spec.network.mac if spec.network else ""
    volumes = {(disk.pool, disk.volume) for disk in spec.disks if disk.volume}
    for other in host.domains():
        if other.id == spec.id:
            continue
        if other.name == spec.name:
            raise Conflict(
                f"a guest named {spec.name} exists already with id {other.id}",
                field="name",
                id=other.id,
            )
        xml = other.inactive_xml(secure=False)
        if mac and mac in domain_xml.macs(xml):
            raise Conflict(
                f"network.mac {mac} belongs to guest {other.name}",
                field="network.mac",
                guest=other.name,
            )
        for _path, pool, volume in domain_xml.referenced_files(xml):
            if (pool, volume) in volumes:
                raise Conflict(f"volume {volume} is used by guest {other.name}", volume=volume)


def _make(
    host: LibvirtHost,
    spec: GuestSpec,
    auto_start: bool,
    plans: List[VolumePlan],
    maker: VolumeMaker,
    leftover: Optional[Domain],
) -> None:
    if leftover is not None:
        leftover.undefine()  # Its name may be another one, which redefining cannot change.
    domain: Optional[Domain] = None
    try:
        domain = host.define_domain(domain_xml.build(replace(spec, incomplete=True)))
        for plan in plans:
            maker.make(plan)
        if leftover is not None:
            _delete_unplanned(host, spec, maker)
        whole = domain_xml.edit(domain.inactive_xml(secure=True), _whole(domain))
        domain = host.define_domain(whole)
        if auto_start:
            domain.set_autostart(True)
    except BaseException as error:
        problems = maker.undo() + _undefine(domain)
        if problems and isinstance(error, CloudError):
            error.message += f"; and what was begun is left behind: {'; '.join(problems)}"
            error.context["left_behind"] = problems
        raise


def _whole(domain: Domain) -> GuestSpec:
    return replace(domain_xml.parse(domain.inactive_xml(secure=True)), incomplete=False)


def _delete_unplanned(host: LibvirtHost, spec: GuestSpec, maker: VolumeMaker) -> None:
    """An interrupted run may have been asked for more disks than this one."""
    planned = {(disk.pool, disk.volume) for disk in spec.disks}
    if spec.cloud_init_pool:
        planned.add((spec.cloud_init_pool, cloud_init_volume_name(spec.id)))
    for pool, volume in volumes_of(host, spec.id):
        if (pool.name, volume.name) not in planned:
            delete_volume(volume, maker.wait_seconds)


def _undefine(domain: Optional[Domain]) -> List[str]:
    if domain is None:
        return []
    try:
        domain.undefine()
    except CloudError as error:
        return [error.message]
    return []
