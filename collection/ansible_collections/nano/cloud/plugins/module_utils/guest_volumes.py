# SPDX-License-Identifier: BSD-2-Clause
"""The volumes behind a guest's disks: planned, made, adopted, removed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from . import names, pool_xml, volume_xml
from .errors import Busy, CloudError, Conflict, InvalidInput, NotFound
from .guest_spec import DiskRequest, GuestDisk
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool, Volume
from .pool_space import check_space, usable_pool

_DISK_IMAGE_FORMATS = ("qcow2", "raw")
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class VolumePlan:
    """A volume to make. ``source`` is the image's volume; ``full_copy`` copies it whole."""

    pool: Pool
    spec: volume_xml.VolumeSpec
    source: Optional[Volume] = None
    full_copy: bool = False


def plan_volumes(
    host: LibvirtHost, disks: Sequence[GuestDisk], requests: Sequence[DiskRequest], image_pool: str
) -> List[VolumePlan]:
    """What has to be made for these disks; changes nothing.

    :raises NotFound: a pool or the image does not exist.
    :raises InvalidInput: the image does not fit into its disk, or is no disk image.
    """
    plans = []
    for disk, request in zip(disks, requests):
        pool = usable_pool(host, disk.pool)
        spec = volume_xml.VolumeSpec(disk.volume, request.size_bytes)
        if not request.image:
            plans.append(VolumePlan(pool, spec))
            continue
        image, image_format = find_image(host, request.image, image_pool)
        check_image_fits(request, image)
        if not request.full_copy:
            spec = volume_xml.VolumeSpec(
                disk.volume, request.size_bytes, "qcow2", image.path(), image_format
            )
        plans.append(VolumePlan(pool, spec, image, request.full_copy))
    return plans


def find_image(host: LibvirtHost, image_id: str, image_pool: str) -> Tuple[Volume, str]:
    """The volume of a disk's image, and its format.

    :raises NotFound: there is none.
    :raises InvalidInput: it is an ISO.
    """
    pool = usable_pool(host, image_pool)
    for image_format in _DISK_IMAGE_FORMATS:
        found = pool.find_volume(names.image_file_name(image_id, image_format))
        if found is not None:
            return found, image_format
    if pool.find_volume(names.image_file_name(image_id, "iso")) is not None:
        raise InvalidInput(
            f"image {image_id} is an ISO: a disk is made from a qcow2 or raw image",
            field="disks[0].image",
        )
    raise NotFound(
        f"image {image_id} is not in pool {image_pool} of this host: fetch it first",
        image=image_id,
        pool=image_pool,
    )


def check_image_fits(request: DiskRequest, image: Volume) -> None:
    """:raises InvalidInput: the first disk is smaller than its image."""
    virtual = image.sizes()[0]
    if virtual > request.size_bytes:
        raise InvalidInput(
            f"disks[0].size_bytes is {request.size_bytes} but image {request.image} needs "
            f"{virtual} bytes",
            field="disks[0].size_bytes",
            image_bytes=virtual,
            size_bytes=request.size_bytes,
        )


def check_room(
    host: LibvirtHost, plans: Sequence[VolumePlan], growth: Sequence[Tuple[Pool, int]]
) -> None:
    """Refuse before anything is made what could not be filled later.

    :raises NoSpace: with the figures of the pool.
    """
    needed: Dict[str, int] = {}
    pools: Dict[str, Pool] = {}
    for pool, size in [(plan.pool, plan.spec.size_bytes) for plan in plans] + list(growth):
        pools[pool.name] = pool
        needed[pool.name] = needed.get(pool.name, 0) + size
    for name, size in needed.items():
        check_space(host, pools[name], size)


class VolumeMaker:
    """Makes volumes and remembers which, so that a failure can be undone.

    ``unused`` says that volumes with these names can hold nobody's data (the guest was never
    complete): wrong and half-copied ones are then made again instead of refused.
    """

    def __init__(self, unused: bool, wait_seconds: float) -> None:
        self._unused = unused
        self.wait_seconds = wait_seconds
        self._disposable: List[Volume] = []

    def check(self, plan: VolumePlan) -> None:
        """Refuse what ``make`` would refuse; changes nothing.

        :raises Conflict: a volume is in the way that may hold data.
        """
        found = plan.pool.find_volume(plan.spec.name)
        if found is None or self._unused or (not plan.full_copy and _is_right(found, plan.spec)):
            return
        raise Conflict(
            f"volume {plan.spec.name} exists in pool {plan.pool.name}, belongs to no guest and is "
            "not what is asked for: it may hold data; remove it with state=absent and this id, "
            "or use another id",
            volume=plan.spec.name,
            pool=plan.pool.name,
        )

    def make(self, plan: VolumePlan) -> None:
        """Make the volume, or adopt the one that an interrupted run left behind."""
        self.check(plan)
        found = plan.pool.find_volume(plan.spec.name)
        if found is not None and not plan.full_copy and _is_right(found, plan.spec):
            if self._unused:
                self._disposable.append(found)
            return
        if found is not None:
            delete_volume(found, self.wait_seconds)
        xml = volume_xml.build(plan.spec)
        if plan.source is None or not plan.full_copy:
            self._disposable.append(plan.pool.create_volume(xml))
            return
        copy = plan.pool.copy_volume(xml, plan.source)
        self._disposable.append(copy)
        # A copy comes out as large as its source, whatever size was asked for.
        if copy.sizes()[0] < plan.spec.size_bytes:
            copy.resize(plan.spec.size_bytes)

    def undo(self) -> List[str]:
        """Delete what was made; returns what could not be deleted, with the reason."""
        problems = []
        for volume in reversed(self._disposable):
            try:
                delete_volume(volume, self.wait_seconds)
            except NotFound:
                continue
            except CloudError as error:
                problems.append(error.message)
        self._disposable.clear()
        return problems


def _is_right(volume: Volume, wanted: volume_xml.VolumeSpec) -> bool:
    return volume_xml.parse(volume.xml()) == wanted


def delete_volume(volume: Volume, wait_seconds: float) -> None:
    """Delete a volume; waits while libvirt still fills it for a run that was killed.

    :raises Busy: it was still being filled after ``wait_seconds``.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            volume.delete()
            return
        except Conflict as error:
            if time.monotonic() >= deadline:
                raise Busy(error.message, volume=volume.name) from error
        time.sleep(_POLL_SECONDS)


def volumes_of(
    host: LibvirtHost, guest_id: str, defined_here: bool = True
) -> List[Tuple[Pool, Volume]]:
    """Every volume on this host that has one of the guest's names, in any active pool.

    A guest that is not ``defined_here`` may be on another host: what is on shared storage is then
    that host's.
    """
    found = []
    for pool in host.pools():
        if not pool.is_active():
            continue
        if pool_xml.is_shared(pool.xml()):
            if not defined_here:
                continue
            pool.refresh()
        found += [
            (pool, volume) for volume in pool.volumes() if names.is_volume_of(guest_id, volume.name)
        ]
    return found
