# SPDX-License-Identifier: BSD-2-Clause
"""Guests as plain values, for people, the API and diffs: what guest_info returns."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from . import domain_xml, drive_xml, names
from .errors import NotFound
from .guest_spec import GuestDisk, GuestDisplay, GuestNetwork, GuestSpec
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .libvirt_storage import Volume


@dataclass(frozen=True)
class DiskFigures:
    """A disk as it is: path, bytes that the guest sees, bytes that it takes. None: not known."""

    path: Optional[str]
    size_bytes: Optional[int]
    allocated_bytes: Optional[int]


class VolumeCatalog:
    """Finds the volumes behind disks; ``bulk`` lists each pool once instead of asking by name."""

    def __init__(self, host: LibvirtHost, bulk: bool = False) -> None:
        self._host = host
        self._bulk = bulk
        self._listed: Dict[str, Dict[str, Volume]] = {}

    def find(self, disk: GuestDisk) -> Optional[Volume]:
        """The volume of a disk that names one; None when it or its pool is not there now."""
        if not disk.volume:
            return None
        if self._bulk:
            return self._list(disk.pool).get(disk.volume)
        pool = self._host.find_pool(disk.pool)
        if pool is None or not pool.is_active():
            return None
        return pool.find_volume(disk.volume)

    def _list(self, pool_name: str) -> Dict[str, Volume]:
        if pool_name not in self._listed:
            pool = self._host.find_pool(pool_name)
            volumes = [] if pool is None else pool.volumes()
            self._listed[pool_name] = {volume.name: volume for volume in volumes}
        return self._listed[pool_name]

    def figures(self, domain: Domain, disk: GuestDisk, target: str) -> DiskFigures:
        """Path and sizes of a disk, foreign or ours."""
        if not disk.volume:
            sizes = domain.disk_sizes(target)
            return DiskFigures(disk.path or None, *(sizes or (None, None)))
        volume = self.find(disk)
        if volume is None:
            return DiskFigures(None, None, None)
        try:
            return DiskFigures(volume.path(), *volume.sizes())
        except NotFound:
            return DiskFigures(None, None, None)  # Deleted since it was listed.


def read_guest(domain: Domain, catalog: VolumeCatalog, secure: bool = False) -> Dict[str, Any]:
    """One guest as ``guest_info`` returns it. ``secure`` compares passwords too."""
    inactive = domain.inactive_xml(secure)
    spec, facts = domain_xml.parse_with_facts(inactive)
    state, port, waiting = domain.state(), facts.display_port, []
    if domain.is_active():
        running, running_facts = domain_xml.parse_with_facts(domain.active_xml(secure))
        port = running_facts.display_port
        if running_facts.memory_limit_bytes == spec.memory_bytes:
            # It gets that as it runs, however long its balloon takes.
            running = replace(running, memory_bytes=spec.memory_bytes)
        waiting = restart_required(running, spec)
    medium = drive_xml.medium_name(domain.active_xml(secure=False))
    disks = [
        catalog.figures(domain, disk, target)
        for disk, target in zip(spec.disks, facts.disk_targets)
    ]
    values = guest_values(spec, state, disks, domain.autostart(), facts.managed, port, waiting)
    return {**values, "medium": medium}


def read_guests(
    host: LibvirtHost, guest_id: Optional[str] = None, name: Optional[str] = None
) -> List[Dict[str, Any]]:
    """One guest, or all sorted by name; an empty list when there is none."""
    if guest_id is not None or name is not None:
        domain = host.find_domain(guest_id, name)
        return [] if domain is None else [read_guest(domain, VolumeCatalog(host))]
    catalog, guests = VolumeCatalog(host, bulk=True), []
    for domain in host.domains():
        try:
            guests.append(read_guest(domain, catalog))
        except NotFound:
            continue  # Removed between the list and the look.
    return sorted(guests, key=lambda guest: str(guest["name"]))


def guest_values(
    spec: GuestSpec,
    state: str,
    disks: Sequence[DiskFigures],
    auto_start: bool,
    managed: bool = True,
    display_port: Optional[int] = None,
    waiting: Sequence[str] = (),
) -> Dict[str, Any]:
    """The one shape of a guest in results; never a password."""
    return {
        "id": spec.id,
        "name": spec.name,
        "owner": spec.owner,
        "group": spec.group,
        "template": spec.template,
        "state": state,
        "cores": spec.cores,
        "memory_bytes": spec.memory_bytes,
        "disks": [
            {"number": number, **_disk_values(disk, each)}
            for number, disk, each in zip(disk_numbers(spec), spec.disks, disks)
        ],
        "medium": None,
        "network": _network_values(spec.network),
        "security_policy": spec.security_policy,
        "cloud_init": bool(spec.cloud_init_pool),
        "firmware": spec.firmware,
        "secure_boot": spec.secure_boot,
        "tpm": spec.tpm,
        "disk_bus": spec.disk_bus,
        "video": spec.video,
        "usb": spec.usb,
        "tablet": spec.tablet,
        "agent": spec.agent,
        "serial_log": spec.serial_log,
        "display": _display_values(spec.display, display_port),
        "cpu_priority": spec.cpu_priority,
        "disk_limits": asdict(spec.disk_limits),
        "network_limits": asdict(spec.network_limits),
        "auto_start": auto_start,
        "domain_type": spec.domain_type,
        "managed": managed,
        "incomplete": spec.incomplete,
        "restart_required": list(waiting),
    }


def disk_numbers(spec: GuestSpec) -> List[Optional[int]]:
    """The number of each disk, which stays when others are detached; None of foreign disks."""
    files = (disk.volume or os.path.basename(disk.path) for disk in spec.disks)
    return [names.disk_number(spec.id, file) for file in files]


def position_of(spec: GuestSpec, number: int) -> Optional[int]:
    """Where a guest's disk is among its disks, when it is a volume of a pool."""
    for position, (found, disk) in enumerate(zip(disk_numbers(spec), spec.disks)):
        if found == number and disk.volume:
            return position
    return None


def _disk_values(disk: GuestDisk, figures: DiskFigures) -> Dict[str, Any]:
    return {
        "path": figures.path,
        "size_bytes": figures.size_bytes,
        "allocated_bytes": figures.allocated_bytes,
        "image": disk.image or None,
    }


def _network_values(network: Optional[GuestNetwork]) -> Optional[Dict[str, Any]]:
    if network is None:
        return None
    return asdict(network)


def _display_values(display: Optional[GuestDisplay], port: Optional[int]) -> Dict[str, Any]:
    if display is None:
        return {"protocol": "none", "listen": "", "port": None}
    return {
        "protocol": display.protocol,
        "listen": display.listen,
        "port": display.port if port is None else port,
    }


def restart_required(active: GuestSpec, inactive: GuestSpec) -> List[str]:
    """Options whose new value a running guest gets only by stopping and starting."""
    running, waiting = _restart_view(active, inactive), _restart_view(inactive, inactive)
    return [field for field, value in waiting.items() if running[field] != value]


def _disk_file(guest_id: str, disk: GuestDisk) -> Tuple[str, str]:
    """A disk's file, whichever way it is told: a snapshot makes a running guest's volume a path."""
    name = os.path.basename(disk.path)
    if not disk.volume and names.is_volume_of(guest_id, name):
        return name, ""
    return disk.volume, disk.path


def _restart_view(spec: GuestSpec, inactive: GuestSpec) -> Mapping[str, Any]:
    network = spec.network
    if network is not None and inactive.network is not None and not inactive.network.bridge:
        # Of a card on a libvirt network only the running guest knows the bridge.
        network = replace(network, bridge="")
    disks = tuple(_disk_file(spec.id, disk) for disk in spec.disks)
    return {
        "cores": (spec.cores, spec.topology),
        "memory_bytes": spec.memory_bytes,
        "disks": disks,
        "disk_bus": spec.disk_bus,
        "network": network,
        "security_policy": spec.security_policy,
        "cloud_init": spec.cloud_init_pool,
        "firmware": (spec.firmware, spec.secure_boot),
        "tpm": spec.tpm,
        "video": spec.video,
        "display": spec.display,
        "usb": spec.usb,
        "tablet": spec.tablet,
        "agent": spec.agent,
        "serial_log": spec.serial_log,
        "cpu_priority": spec.cpu_priority,
        "disk_limits": spec.disk_limits,
        "network_limits": spec.network_limits,
        "domain_type": spec.domain_type,
    }
