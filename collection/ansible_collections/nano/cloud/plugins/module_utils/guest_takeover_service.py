# SPDX-License-Identifier: BSD-2-Clause
"""Guests of a lost cell are defined here, from the copies that it kept beside their disks."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Optional

from . import domain_xml, drive_xml, filter_xml, names
from .cell_lease_spec import TakeoverRequest
from .constants import FILTER_PREFIX, TPM_DIRECTORY
from .differences import Differences
from .errors import Conflict, NotFound, Unsupported
from .filter_guard import ensure_guard
from .guest_files import remove_files
from .guest_reader import VolumeCatalog, read_guest
from .guest_spec import GuestSpec
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .object_lock import object_lock
from .shared_storage import copies_of, replace_file, shared_path


@dataclass(frozen=True)
class TakeoverOutcome:
    """What was (in check mode: would be) different, and the guest where it is now here."""

    differences: Differences
    guest: Optional[Dict[str, Any]]
    warnings: List[str] = field(default_factory=list)


def ensure_taken(
    host: LibvirtHost, request: TakeoverRequest, check_mode: bool, lock_timeout_seconds: float
) -> TakeoverOutcome:
    """The guest is defined here. It is not started.

    :raises CloudError: it cannot be here; nothing was changed
    """
    with object_lock("guest", request.id, lock_timeout_seconds):
        shared = shared_path(host, request.pool)
        _refresh(host, request.pool)
        domain = host.find_domain(request.id, None)
        if domain is not None:
            return TakeoverOutcome(Differences({}, {}), read_guest(domain, VolumeCatalog(host)))
        xml, warnings = _definition(host, shared, request)
        spec = domain_xml.parse(xml)
        _check(host, shared, spec, request)
        differences = Differences({}, {"id": spec.id, "name": spec.name})
        if check_mode:
            return TakeoverOutcome(differences, {"id": spec.id, "name": spec.name}, warnings)
        warnings += _bring_files(shared, request, xml)
        _bring_filters(host, shared, request, xml)
        domain = host.define_domain(xml)
        try:
            domain.set_autostart(request.auto_start)
        except BaseException:
            domain.undefine()
            raise
        return TakeoverOutcome(differences, read_guest(domain, VolumeCatalog(host)), warnings)


def _refresh(host: LibvirtHost, pool_name: str) -> None:
    """Volumes that the other host made are unknown to this one's libvirt until it looks."""
    pool = host.find_pool(pool_name)
    if pool is not None:
        pool.refresh()


def _definition(host: LibvirtHost, shared: Path, request: TakeoverRequest) -> tuple[str, List[str]]:
    """The guest's definition as it is to be here."""
    found = copies_of(shared, request.cell, f"{request.id}.xml")
    if found is None:
        raise NotFound(
            f"guest {request.id} has no copy of its definition in pool {request.pool}: it has no "
            f"disk there, or cell {request.cell} had no lease",
            guest=request.id,
        )
    xml, warnings = found.read_text(encoding="utf-8"), []
    spec = domain_xml.parse(xml)
    if request.display_port and spec.display is not None:
        display = replace(spec.display, port=request.display_port)
        xml = domain_xml.edit(xml, replace(spec, display=display))
    medium = drive_xml.medium(xml)
    if medium and not _is_here(host, medium):
        xml, _drive = drive_xml.with_medium(xml, "")
        warnings.append(f"medium {medium} is not on this host: it was ejected")
    return xml, warnings


def _is_here(host: LibvirtHost, medium: str) -> bool:
    if medium.startswith("/"):
        return os.path.exists(medium)
    pool_name, _slash, volume = medium.partition("/")
    pool = host.find_pool(pool_name)
    return pool is not None and pool.is_active() and pool.find_volume(volume) is not None


def _check(host: LibvirtHost, shared: Path, spec: GuestSpec, request: TakeoverRequest) -> None:
    if spec.incomplete:
        raise Conflict(f"guest {spec.name} is incomplete: its creation or removal was interrupted")
    if host.find_domain(None, spec.name) is not None:
        raise Conflict(f"this host has another guest named {spec.name}: rename one of them")
    found = host.capabilities()
    if found.arch != spec.arch or spec.domain_type not in found.domain_types:
        raise Unsupported(
            f"this host cannot run guest {spec.name}: it needs {spec.domain_type} for {spec.arch}"
        )
    for disk in spec.disks:
        if disk.pool != request.pool and Path(disk.path).parent != shared:
            raise Conflict(
                f"disk {disk.volume or disk.path} of guest {spec.name} is not in pool "
                f"{request.pool}: it is on the lost cell",
                guest=spec.name,
            )


def _bring_files(shared: Path, request: TakeoverRequest, xml: str) -> List[str]:
    """UEFI variables and TPM state; what is missing is made new by libvirt, with a warning."""
    warnings = []
    nvram = domain_xml.nvram_path(xml)
    if nvram:
        copy = copies_of(shared, request.cell, f"{request.id}.nvram")
        if copy is None:
            warnings.append(f"guest {request.id} starts with new UEFI variables: there is no copy")
        else:
            replace_file(Path(nvram), copy.read_bytes())
    if domain_xml.parse(xml).tpm:
        copy = copies_of(shared, request.cell, f"{request.id}.tpm")
        if copy is None:
            warnings.append(f"guest {request.id} starts with a new TPM: there is no copy")
        else:
            with tarfile.open(fileobj=io.BytesIO(copy.read_bytes())) as packed:
                packed.extractall(TPM_DIRECTORY, members=_inside(packed, request.id))
    return warnings


def _inside(packed: tarfile.TarFile, guest_id: str) -> List[tarfile.TarInfo]:
    """Only files and folders of that guest: whoever writes to the storage writes nowhere else."""
    return [
        each
        for each in packed.getmembers()
        if (each.isfile() or each.isdir())
        and ".." not in each.name.split("/")
        and (each.name == guest_id or each.name.startswith(f"{guest_id}/"))
    ]


def _bring_filters(host: LibvirtHost, shared: Path, request: TakeoverRequest, xml: str) -> None:
    """Its security policy, unless this host has one of that name; its very own in any case."""
    for name in domain_xml.filters(xml):
        there = host.find_filter(name)
        if not name.startswith(FILTER_PREFIX):
            continue
        if there is not None and name != names.filter_name(request.id):
            continue
        copy = copies_of(shared, request.cell, f"filters/{name}.xml")
        if copy is not None:
            ensure_guard()
            uuid = filter_xml.uuid_of(there.xml()) if there else ""
            host.define_filter(filter_xml.with_uuid(copy.read_text(encoding="utf-8"), uuid))


def ensure_left(
    host: LibvirtHost, request: TakeoverRequest, check_mode: bool, lock_timeout_seconds: float
) -> TakeoverOutcome:
    """This host forgets a guest that lives elsewhere. Its disks stay: they are in use there."""
    with object_lock("guest", request.id, lock_timeout_seconds):
        domain = host.find_domain(request.id, None)
        if domain is None:
            return TakeoverOutcome(Differences({}, {}), None)
        differences = Differences({"id": domain.id, "name": domain.name}, {})
        if not check_mode:
            _forget(host, domain)
    return TakeoverOutcome(differences, None)


def _forget(host: LibvirtHost, domain: Domain) -> None:
    if domain.is_active():
        domain.destroy()
    domain.undefine()
    remove_files(domain.id)
    own = host.find_filter(names.filter_name(domain.id))
    if own is not None:
        own.undefine()
