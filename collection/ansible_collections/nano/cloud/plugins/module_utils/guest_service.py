# SPDX-License-Identifier: BSD-2-Clause
"""A guest as it should be: created, changed in place, or removed. Never recreated to change it."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Iterator, List, Optional, Sequence

from . import domain_xml
from .cloud_init_medium import plan_medium
from .differences import Differences
from .errors import Conflict
from .guest_change import GuestChange, apply_change, plan_change
from .guest_creation import create_guest
from .guest_defaults import changed_guest, new_guest
from .guest_files import remove_files
from .guest_reader import DiskFigures, VolumeCatalog, guest_values, read_guest
from .guest_spec import GuestRequest, GuestSpec
from .guest_volumes import delete_volume, volumes_of
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .object_lock import object_lock
from .pool_space import check_usable

_VOLATILE = ("state", "restart_required", "incomplete", "medium")


@dataclass(frozen=True)
class GuestOutcome:
    """What was (in check mode: would be) different, and the guest as it now is.

    ``guest`` is None when there is none; ``warnings`` tell what a running guest did not take.
    """

    differences: Differences
    guest: Optional[Dict[str, Any]]
    created: bool = False
    warnings: List[str] = field(default_factory=list)

    @property
    def restart_required(self) -> List[str]:
        """Options that wait for the guest's next start."""
        return list(self.guest["restart_required"]) if self.guest else []


def ensure_present(
    host: LibvirtHost, request: GuestRequest, check_mode: bool, lock_timeout_seconds: float
) -> GuestOutcome:
    """Make the guest what the request says.

    :raises CloudError: the request cannot be met; nothing was changed, or it was undone.
    """
    with _locked(host, request, check_mode, lock_timeout_seconds) as guest_id:
        domain = host.find_domain(guest_id, None)
        if domain is None or _is_incomplete(domain):
            return _create(host, request, guest_id, check_mode, lock_timeout_seconds)
        return change_guest(host, domain, request, check_mode)


@contextlib.contextmanager
def _locked(
    host: LibvirtHost, request: GuestRequest, check_mode: bool, timeout_seconds: float
) -> Iterator[str]:
    """The guest's id under its lock: the one given, the one found by name, or a new one."""
    guest_id = request.id or _id_of(host, request.name)
    with contextlib.ExitStack() as locks:
        if guest_id is None:
            # Two runs that know only the same new name must not make two guests.
            if not check_mode:
                locks.enter_context(object_lock("guest-name", request.name or "", timeout_seconds))
            guest_id = _id_of(host, request.name) or str(uuid.uuid4())
        if not check_mode:
            locks.enter_context(object_lock("guest", guest_id, timeout_seconds))
        yield guest_id


def _id_of(host: LibvirtHost, name: Optional[str]) -> Optional[str]:
    domain = host.find_domain(None, name) if name else None
    return domain.id if domain else None


def _is_incomplete(domain: Domain) -> bool:
    return domain_xml.parse(domain.inactive_xml(secure=False)).incomplete


def _create(
    host: LibvirtHost,
    request: GuestRequest,
    guest_id: str,
    check_mode: bool,
    lock_timeout_seconds: float,
) -> GuestOutcome:
    spec = new_guest(request, guest_id, host.capabilities())
    medium = plan_medium(host, spec, request.cloud_init)
    create_guest(host, spec, request, medium, check_mode, lock_timeout_seconds)
    sizes = [disk.size_bytes for disk in request.disks or ()]
    expected = _preview(spec, sizes, bool(request.auto_start))
    domain = None if check_mode else host.find_domain(guest_id, None)
    guest = expected if domain is None else read_guest(domain, VolumeCatalog(host), secure=True)
    after = _comparable(expected, spec)
    if medium is not None:
        after["cloud_init"] = medium.shown[1]
    return GuestOutcome(Differences({}, after), guest, created=True)


def _preview(spec: GuestSpec, sizes: Sequence[int], auto_start: bool) -> Dict[str, Any]:
    disks = [DiskFigures(None, size, None) for size in sizes]
    values = guest_values(spec, "stopped", disks, auto_start)
    return {**values, "incomplete": False}


def _comparable(values: Dict[str, Any], spec: GuestSpec, secret: str = "") -> Dict[str, Any]:
    """What of a guest's values is wanted, not measured; ``secret`` stands for the password."""
    result = {key: value for key, value in values.items() if key not in _VOLATILE}
    result["disks"] = [
        {
            "volume": disk.volume or disk.path,
            "size_bytes": shown["size_bytes"],
            "image": shown["image"],
        }
        for disk, shown in zip(spec.disks, values["disks"])
    ]
    port = spec.display.port if spec.display else None
    result["display"] = {**values["display"], "port": port}
    if secret:
        result["display"]["password"] = secret
    return result


def change_guest(
    host: LibvirtHost, domain: Domain, request: GuestRequest, check_mode: bool
) -> GuestOutcome:
    """Make a guest that exists what the request says; the caller has its lock."""
    if not domain.is_persistent():
        raise Conflict(
            f"guest {domain.name} is transient: it has no definition that could be changed",
            guest=domain.name,
        )
    found_xml = domain.inactive_xml(secure=True)
    found = domain_xml.parse(found_xml)
    wanted = changed_guest(request, found, host.capabilities())
    before_values = read_guest(domain, VolumeCatalog(host), secure=True)
    change = plan_change(host, domain, request, found, wanted, before_values)
    differences = _differences(before_values, change, request.auto_start)
    if check_mode or not differences.changed:
        return GuestOutcome(differences, before_values)
    warnings = apply_change(host, domain, found_xml, change)
    if differences.after["auto_start"] != before_values["auto_start"]:
        domain.set_autostart(bool(request.auto_start))
    current = host.find_domain(found.id, None)
    guest = None if current is None else read_guest(current, VolumeCatalog(host), secure=True)
    return GuestOutcome(differences, guest, warnings=warnings)


def _differences(
    before_values: Dict[str, Any], change: GuestChange, auto_start: Optional[bool]
) -> Differences:
    found, wanted = change.found, change.wanted
    disks = [DiskFigures(None, size, None) for size in change.disk_sizes]
    keep_auto_start = bool(before_values["auto_start"])
    after_values = guest_values(
        wanted, "", disks, keep_auto_start if auto_start is None else auto_start
    )
    new_secret = bool(found.display) and bool(wanted.display) and _secret(found) != _secret(wanted)
    secrets = ("(hidden)", "(hidden, changed)") if new_secret else ("", "")
    before = _comparable(before_values, found, secrets[0])
    after = _comparable(after_values, wanted, secrets[1])
    if change.medium is not None:
        before["cloud_init"], after["cloud_init"] = change.medium.shown
        # A medium without a drive, or a drive without its medium, is seen to differ too.
        before["cloud_init_pool"] = found.cloud_init_pool
        after["cloud_init_pool"] = wanted.cloud_init_pool
    return Differences(before, after)


def _secret(spec: GuestSpec) -> Optional[str]:
    return spec.display.password if spec.display else None


def ensure_absent(
    host: LibvirtHost,
    request: GuestRequest,
    force: bool,
    check_mode: bool,
    lock_timeout_seconds: float,
) -> GuestOutcome:
    """Remove the guest and its volumes; what an interrupted run left under its id as well.

    :raises Conflict: it runs and ``force`` is false, or a pool with disks of its is not there now.
    """
    guest_id = request.id or _id_of(host, request.name)
    if guest_id is None:
        return GuestOutcome(Differences({}, {}), None)
    with contextlib.ExitStack() as locks:
        if not check_mode:
            locks.enter_context(object_lock("guest", guest_id, lock_timeout_seconds))
        domain = host.find_domain(guest_id, None)
        before = _what_is_there(host, guest_id, domain)
        if domain is not None and domain.is_active() and not force:
            raise Conflict(
                f"guest {domain.name} is {domain.state()}: stop it first, or set force",
                guest=domain.name,
            )
        if domain is not None:
            _check_disks_can_go(host, domain)
        if not check_mode:
            _remove(host, guest_id, domain, lock_timeout_seconds)
    return GuestOutcome(Differences(before, {}), None)


def _what_is_there(host: LibvirtHost, guest_id: str, domain: Optional[Domain]) -> Dict[str, Any]:
    if domain is not None:
        spec = domain_xml.parse(domain.inactive_xml(secure=False))
        return _comparable(read_guest(domain, VolumeCatalog(host)), spec)
    volumes = [volume.name for _pool, volume in volumes_of(host, guest_id, defined_here=False)]
    return {"id": guest_id, "volumes": sorted(volumes)} if volumes else {}


def _check_disks_can_go(host: LibvirtHost, domain: Domain) -> None:
    """Volumes in a pool that is not there now would stay behind, and belong to nobody.

    A pool that does not exist any more holds up nothing.
    """
    spec = domain_xml.parse(domain.inactive_xml(secure=False))
    for name in dict.fromkeys(disk.pool for disk in spec.disks if disk.volume):
        pool = host.find_pool(name)
        if pool is not None:
            check_usable(host, pool)


def _remove(
    host: LibvirtHost, guest_id: str, domain: Optional[Domain], wait_seconds: float
) -> None:
    """Stop, mark, delete volumes, forget: the domain last, so that nothing is left without it."""
    if domain is not None and domain.is_active():
        domain.destroy()
        domain = host.find_domain(guest_id, None)  # A transient one has gone with that.
    if domain is not None:
        _mark_incomplete(host, domain)
    for _pool, volume in volumes_of(host, guest_id, defined_here=domain is not None):
        delete_volume(volume, wait_seconds)
    if domain is not None:
        domain.undefine()
    if host.is_local_hypervisor:
        remove_files(guest_id)


def _mark_incomplete(host: LibvirtHost, domain: Domain) -> None:
    """Nobody starts a guest whose volumes are going."""
    xml = domain.inactive_xml(secure=True)
    host.define_domain(domain_xml.edit(xml, replace(domain_xml.parse(xml), incomplete=True)))
