# SPDX-License-Identifier: BSD-2-Clause
"""Policy: what a guest gets where its request is silent. Pure: no libvirt, no clock, no dice."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Optional, Tuple, TypeVar

from . import constants, names
from .errors import Conflict, InvalidInput
from .guest_limits_spec import NO_DISK_LIMITS, NO_NETWORK_LIMITS
from .guest_spec import (
    CpuTopology,
    DiskRequest,
    DisplayRequest,
    GuestDisk,
    GuestDisplay,
    GuestNetwork,
    GuestRequest,
    GuestSpec,
    NetworkRequest,
    has_ide,
)
from .host_capabilities import HostCapabilities

_Value = TypeVar("_Value", str, int)

_MACHINES = {"x86_64": "pc", "i686": "pc", "aarch64": "virt"}
# UEFI guests get the newer of x86's machines, the only one that can protect its variables.
_UEFI_MACHINES = {"x86_64": "q35", "i686": "q35"}
# Machines that start nothing without UEFI.
_UEFI_ONLY = ("aarch64",)
_CORES_PER_SOCKET = 32
_MAX_SOCKETS = 8


def cpu_topology(cores: int) -> CpuTopology:
    """One core stands alone; an even number is made of two-threaded cores on one socket.

    Sockets double (2, 4, 8) only while one would carry more than 32 cores and they divide evenly.
    """
    if cores == 1:
        return CpuTopology(sockets=1, cores=1, threads=1)
    sockets, per_socket = 1, cores // 2
    while per_socket > _CORES_PER_SOCKET and per_socket % 2 == 0 and sockets < _MAX_SOCKETS:
        sockets, per_socket = sockets * 2, per_socket // 2
    return CpuTopology(sockets=sockets, cores=per_socket, threads=2)


def new_guest(request: GuestRequest, guest_id: str, host: HostCapabilities) -> GuestSpec:
    """The complete spec of a guest that does not exist yet, marked as being created.

    :raises InvalidInput: something without a default is missing, or does not fit together.
    """
    if request.name is None:
        raise InvalidInput("name is required to create a guest", field="name")
    if request.cores is None:
        raise InvalidInput("cores is required to create a guest", field="cores")
    if request.memory_bytes is None:
        raise InvalidInput("memory_bytes is required to create a guest", field="memory_bytes")
    pool = request.pool or constants.DEFAULT_POOL
    blank = GuestSpec(
        id=guest_id,
        name=request.name,
        cores=request.cores,
        memory_bytes=request.memory_bytes,
        domain_type=host.best_domain_type,
        arch=host.arch,
        machine=_MACHINES.get(host.arch, ""),
        firmware="uefi" if host.arch in _UEFI_ONLY else "bios",
        incomplete=True,
        topology=cpu_topology(request.cores),
        disk_bus="scsi",
        network=GuestNetwork(constants.DEFAULT_BRIDGE, names.mac_of(guest_id), "virtio"),
        video="vga",
        display=GuestDisplay("vnc", "127.0.0.1"),
        usb="nec-xhci",
        tablet="usb",
        agent=True,
        cpu_priority="high",
    )
    disks = tuple(
        GuestDisk(pool=pool, volume=names.volume_name(guest_id, index), image=disk.image)
        for index, disk in enumerate(request.disks or ())
    )
    blank = replace(blank, disks=disks, cloud_init_pool=_cloud_init_pool(request, blank, pool))
    return _check(_overlay(blank, request, host))


def changed_guest(request: GuestRequest, found: GuestSpec, host: HostCapabilities) -> GuestSpec:
    """The found guest with what the request asks for; disks can only be added.

    :raises Conflict: the change would lose data or move it.
    :raises InvalidInput: something does not fit together.
    """
    disks = found.disks
    if request.disks is not None:
        disks = _grown_disks(request, request.disks, found)
    elif request.pool is not None:
        _check_same_pool(request.pool, found)
    pool = (disks[0].pool if disks else request.pool) or constants.DEFAULT_POOL
    medium = _cloud_init_pool(request, found, pool)
    changed = replace(found, disks=disks, cloud_init_pool=medium)
    return _check(_overlay(changed, request, host))


def _cloud_init_pool(request: GuestRequest, base: GuestSpec, pool: str) -> str:
    """A medium that is there stays in its pool."""
    if request.cloud_init is None:
        return base.cloud_init_pool
    return (base.cloud_init_pool or pool) if request.cloud_init.enabled else ""


def _grown_disks(
    request: GuestRequest, wanted: Tuple[DiskRequest, ...], found: GuestSpec
) -> Tuple[GuestDisk, ...]:
    if len(wanted) < len(found.disks):
        raise Conflict(
            f"disks names {len(wanted)} disks but guest {found.name} has {len(found.disks)}: "
            "a disk is never removed by leaving it out",
            field="disks",
            guest=found.name,
        )
    for index, (disk, existing) in enumerate(zip(wanted, found.disks)):
        if disk.image and disk.image != existing.image:
            raise Conflict(
                f"disks[{index}].image is {disk.image} but the disk of guest {found.name} was "
                f"made from {existing.image or 'no image'}: replacing it would lose its data",
                field=f"disks[{index}].image",
                guest=found.name,
            )
    if request.pool is not None:
        _check_same_pool(request.pool, found)
    pool = request.pool or (found.disks[0].pool if found.disks else "") or constants.DEFAULT_POOL
    # A disk that was detached leaves a gap: those after it have kept their numbers.
    taken = {names.disk_number(found.id, disk.volume) for disk in found.disks}
    free = (number for number in itertools.count(len(found.disks)) if number not in taken)
    new = tuple(
        GuestDisk(
            pool=pool,
            volume=disk.volume or names.volume_name(found.id, next(free)),
            image=disk.image,
        )
        for disk in wanted[len(found.disks) :]
    )
    return found.disks + new


def _check_same_pool(pool: str, found: GuestSpec) -> None:
    for disk in found.disks:
        if disk.pool != pool:
            raise Conflict(
                f"pool is {pool} but a disk of guest {found.name} is in "
                f"{disk.pool or disk.path}: disks are not moved between pools",
                field="pool",
                guest=found.name,
            )


def _overlay(base: GuestSpec, request: GuestRequest, host: HostCapabilities) -> GuestSpec:
    cores = _pick(request.cores, base.cores)
    firmware = _firmware(request.firmware, base)
    return replace(
        base,
        name=_pick(request.name, base.name),
        owner=_pick(request.owner, base.owner),
        group=_pick(request.group, base.group),
        template=_pick(request.template, base.template),
        cores=cores,
        topology=base.topology if cores == base.cores else cpu_topology(cores),
        memory_bytes=_pick(request.memory_bytes, base.memory_bytes),
        machine=_machine(base, firmware),
        firmware=firmware,
        secure_boot=_secure_boot(request, base, firmware),
        tpm=base.tpm if request.tpm is None else request.tpm,
        security_policy=_pick(request.security_policy, base.security_policy),
        disk_bus=_pick(request.disk_bus, base.disk_bus),
        video=_pick(request.video, base.video),
        usb=_pick(request.usb, base.usb),
        tablet=_pick(request.tablet, base.tablet),
        agent=base.agent if request.agent is None else request.agent,
        serial_log=base.serial_log if request.serial_log is None else request.serial_log,
        cpu_priority=_pick(request.limits.cpu_priority, base.cpu_priority),
        disk_limits=request.limits.disk_limits(base.disk_limits),
        network_limits=request.limits.network_limits(base.network_limits),
        domain_type=_domain_type(request.domain_type, base.domain_type, host),
        network=_network(request, base),
        display=_display(request, base.display),
    )


def _firmware(asked: Optional[str], base: GuestSpec) -> str:
    if asked == "bios" != base.firmware and base.arch in _UEFI_ONLY:
        raise InvalidInput(f"{base.arch} machines have no BIOS: use uefi", field="firmware")
    return _pick(asked, base.firmware)


def _machine(base: GuestSpec, firmware: str) -> str:
    """A machine that has the firmware; BIOS works on all that have UEFI."""
    machine = _UEFI_MACHINES.get(base.arch, base.machine)
    if firmware in ("bios", base.firmware) or machine in base.machine:
        return base.machine
    return machine


def _secure_boot(request: GuestRequest, base: GuestSpec, firmware: str) -> bool:
    """It goes with UEFI, unless both are asked for."""
    if request.secure_boot is None:
        return base.secure_boot and firmware == "uefi"
    return request.secure_boot


def _domain_type(asked: Optional[str], found: str, host: HostCapabilities) -> str:
    """A name that libvirt does not list is still used: an explicit choice is the user's."""
    if asked is None:
        return found
    return host.best_domain_type if asked == "auto" else asked


def _network(request: GuestRequest, base: GuestSpec) -> Optional[GuestNetwork]:
    asked, found = request.network, base.network
    if asked == NetworkRequest():
        return found
    if found is None:
        found = GuestNetwork(constants.DEFAULT_BRIDGE, names.mac_of(base.id), "virtio")
    return GuestNetwork(
        bridge=_pick(asked.bridge, found.bridge),
        mac=_pick(asked.mac, found.mac),
        model=_pick(asked.model, found.model),
        link=_pick(asked.link, found.link),
    )


def _display(request: GuestRequest, found: Optional[GuestDisplay]) -> Optional[GuestDisplay]:
    asked = request.display
    if asked == DisplayRequest():
        return found
    found = found or GuestDisplay("vnc", "127.0.0.1")
    return GuestDisplay(
        protocol=_pick(asked.protocol, found.protocol),
        listen=_pick(asked.listen, found.listen),
        port=found.port if asked.port is None else (asked.port or None),
        password=found.password if asked.password is None else (asked.password or None),
    )


def _pick(asked: Optional[_Value], otherwise: _Value) -> _Value:
    return otherwise if asked is None else asked


def _check(spec: GuestSpec) -> GuestSpec:
    """What no single option can tell by itself."""
    if spec.disk_bus == "ide" and len(spec.disks) > constants.MAX_IDE_DISKS:
        raise InvalidInput(
            f"disk_bus ide carries at most {constants.MAX_IDE_DISKS} disks (two of its four "
            "places are CD drives): use scsi, sata or virtio",
            field="disk_bus",
        )
    if spec.disk_bus == "ide" and not has_ide(spec.machine):
        raise InvalidInput(f"machine {spec.machine} has no IDE", field="disk_bus")
    if spec.disk_limits != NO_DISK_LIMITS and not spec.disks:
        raise InvalidInput("disk_limits needs a disk to limit", field="disk_limits")
    if spec.network_limits != NO_NETWORK_LIMITS and spec.network is None:
        raise InvalidInput("network_limits needs a network card to limit", field="network_limits")
    if spec.security_policy and spec.network is None:
        raise InvalidInput("security_policy needs a network card", field="security_policy")
    if spec.secure_boot and spec.firmware != "uefi":
        raise InvalidInput("secure_boot needs firmware uefi", field="secure_boot")
    display = spec.display
    too_long = len((display.password if display else "") or "") > constants.VNC_PASSWORD_LENGTH
    if display and display.protocol == "vnc" and too_long:
        raise InvalidInput(
            f"display.password is longer than {constants.VNC_PASSWORD_LENGTH} characters: "
            "VNC would ignore the rest",
            field="display.password",
        )
    return spec
