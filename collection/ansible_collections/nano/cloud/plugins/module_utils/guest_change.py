# SPDX-License-Identifier: BSD-2-Clause
"""Changing a guest in place: always its definition, and the running guest where that is simple."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from . import domain_xml
from .cloud_init_medium import MediumPlan, plan_medium, remove_medium, written
from .errors import CloudError, Conflict, Unsupported
from .guest_creation import check_neighbours
from .guest_live_change import apply_live
from .guest_reader import VolumeCatalog
from .guest_requirements import check_requirements
from .guest_spec import GuestRequest, GuestSpec
from .guest_volumes import VolumeMaker, VolumePlan, check_room, plan_volumes
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool


@dataclass(frozen=True)
class GuestChange:
    """A change that has been checked. ``growth`` maps disk indexes to new sizes in bytes."""

    found: GuestSpec
    wanted: GuestSpec
    disk_sizes: List[int]
    growth: Dict[int, int]
    new_volumes: List[VolumePlan]
    medium: Optional[MediumPlan] = None


def plan_change(
    host: LibvirtHost,
    domain: Domain,
    request: GuestRequest,
    found: GuestSpec,
    wanted: GuestSpec,
    current: Dict[str, Any],
) -> GuestChange:
    """Check all that can be checked before anything changes. ``current``: the guest's values.

    :raises Conflict: data would be lost, or the guest's state forbids it.
    :raises NoSpace: no room to grow.
    """
    if wanted.name != found.name and domain.is_active():
        raise Conflict(
            f"guest {found.name} is {domain.state()}: stop it first to rename it to {wanted.name}",
            field="name",
            guest=found.name,
        )
    _check_firmware_change(domain, found, wanted)
    if found.cloud_init_pool and not wanted.cloud_init_pool and domain.is_active():
        raise Conflict(
            f"guest {found.name} is {domain.state()}: stop it first to remove cloud-init's drive",
            field="cloud_init",
            guest=found.name,
        )
    if wanted.memory_bytes != found.memory_bytes and domain_xml.has_numa_cells(
        domain.inactive_xml(secure=False)
    ):
        raise Unsupported(
            f"guest {found.name} divides its memory among NUMA cells: change their sizes with the "
            "tool that made them",
            field="memory_bytes",
            guest=found.name,
        )
    check_requirements(host, wanted, found)
    if (wanted.name, wanted.network, wanted.disks) != (found.name, found.network, found.disks):
        check_neighbours(host, wanted)
    sizes = [disk["size_bytes"] for disk in current["disks"]]
    growth = _growth(request, found, sizes)
    if growth and domain.has_saved_state():
        raise Conflict(
            f"guest {found.name} has a saved state that expects its disks as they are: start it, "
            "or remove the saved state, before growing them",
            field="disks",
            guest=found.name,
        )
    first_new = len(found.disks)
    new = plan_volumes(
        host,
        wanted.disks[first_new:],
        (request.disks or ())[first_new:],
        request.image_pool,
    )
    check_room(host, new, _growth_by_pool(host, found, sizes, growth))
    for plan in new:
        VolumeMaker(unused=False, wait_seconds=0).check(plan)
    sizes = [growth.get(index, size) for index, size in enumerate(sizes)]
    sizes += [plan.spec.size_bytes for plan in new]
    medium = plan_medium(host, wanted, request.cloud_init)
    return GuestChange(found, wanted, sizes, growth, new, medium)


def _check_firmware_change(domain: Domain, found: GuestSpec, wanted: GuestSpec) -> None:
    """The buses are laid out anew with another machine: devices must not be in use meanwhile."""
    if (wanted.firmware, wanted.secure_boot) == (found.firmware, found.secure_boot):
        return
    field = "firmware" if wanted.firmware != found.firmware else "secure_boot"
    if domain.is_active():
        raise Conflict(
            f"guest {found.name} is {domain.state()}: stop it first to change its {field}",
            field=field,
            guest=found.name,
        )
    if domain.has_saved_state():
        raise Conflict(
            f"guest {found.name} has a saved state that expects its firmware as it is: start it, "
            f"or remove the saved state, before changing its {field}",
            field=field,
            guest=found.name,
        )


def _growth(request: GuestRequest, found: GuestSpec, sizes: List[int]) -> Dict[int, int]:
    growth = {}
    for index, (disk, size) in enumerate(zip(request.disks or (), sizes)):
        field = f"disks[{index}].size_bytes"
        if size is None:
            raise Conflict(
                f"{field}: the disk of guest {found.name} cannot be found or read",
                field=field,
                guest=found.name,
            )
        if disk.size_bytes < size:
            raise Conflict(
                f"{field} is {disk.size_bytes} but the disk of guest {found.name} has {size} "
                "bytes: shrinking it would lose data",
                field=field,
                guest=found.name,
            )
        if disk.size_bytes > size:
            growth[index] = disk.size_bytes
    return growth


def _growth_by_pool(
    host: LibvirtHost, found: GuestSpec, sizes: List[int], growth: Dict[int, int]
) -> List[Tuple[Pool, int]]:
    pools = []
    for index, size in growth.items():
        pool = host.find_pool(found.disks[index].pool) if found.disks[index].pool else None
        if pool is not None:
            pools.append((pool, size - sizes[index]))
    return pools


def apply_change(
    host: LibvirtHost, domain: Domain, found_xml: str, change: GuestChange
) -> List[str]:
    """Carry the change out; returns warnings about what the running guest did not take.

    :raises CloudError: the definition is as it was; disks may have grown, which loses nothing.
    """
    found, wanted = change.found, change.wanted
    with written(host, change.medium):
        domain, new_xml = _apply(host, domain, found_xml, change)
    if found.cloud_init_pool and not wanted.cloud_init_pool:
        remove_medium(host, found.cloud_init_pool, found.id)
    return apply_live(domain, new_xml, found, wanted) if domain.is_active() else []


def _apply(
    host: LibvirtHost, domain: Domain, found_xml: str, change: GuestChange
) -> Tuple[Domain, str]:
    found, wanted = change.found, change.wanted
    maker = VolumeMaker(unused=False, wait_seconds=0)
    try:
        for plan in change.new_volumes:
            maker.make(plan)
        for index, size in change.growth.items():
            _grow(host, domain, change, found_xml, index, size)
        if wanted.name != found.name:
            domain.rename(wanted.name)
        try:
            new_xml = domain_xml.edit(domain.inactive_xml(secure=True), wanted)
            return host.define_domain(new_xml), new_xml
        except BaseException:
            if wanted.name != found.name:
                domain.rename(found.name)
            raise
    except BaseException as error:
        problems = maker.undo()
        if problems and isinstance(error, CloudError):
            error.message += f"; and new volumes are left behind: {'; '.join(problems)}"
        raise


def _grow(
    host: LibvirtHost,
    domain: Domain,
    change: GuestChange,
    found_xml: str,
    index: int,
    size: int,
) -> None:
    volume = VolumeCatalog(host).find(change.found.disks[index])
    if domain.is_active():
        domain.resize_disk(domain_xml.facts(found_xml).disk_targets[index], size)
    elif volume is not None:
        volume.resize(size)
    else:
        raise Conflict(
            f"disks[{index}] of guest {change.found.name} is not a volume of a pool: it can only "
            "grow while the guest runs",
            field=f"disks[{index}].size_bytes",
        )
