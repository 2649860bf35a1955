# SPDX-License-Identifier: BSD-2-Clause
"""A medium in a guest's CD drive, live and in the definition."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Dict, Optional

from . import drive_xml, names
from .differences import Differences
from .drive_xml import known_as
from .errors import Conflict, InvalidInput, NotFound
from .guest_reader import VolumeCatalog, read_guest
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .media_spec import MediaRequest
from .object_lock import object_lock
from .pool_space import usable_pool


@dataclass(frozen=True)
class MediaOutcome:
    """What was (in check mode: would be) different, the medium as it now is, and the guest."""

    differences: Differences
    medium: Optional[str]
    guest: Dict[str, Any]


def ensure_medium(
    host: LibvirtHost, request: MediaRequest, check_mode: bool, lock_timeout_seconds: float
) -> MediaOutcome:
    """Have the image in the guest's drive, or nothing.

    :raises NotFound: there is no such guest or image
    :raises Conflict: it has no drive, or another medium is in it
    """
    domain = _find(host, request)
    with contextlib.ExitStack() as locks:
        if not check_mode:
            locks.enter_context(object_lock("guest", domain.id, lock_timeout_seconds))
        path = iso_path(host, request.image, request.image_pool) if request.image else ""
        defined = _medium(domain, domain.inactive_xml(secure=False))
        running = (
            _medium(domain, domain.active_xml(secure=False)) if domain.is_active() else defined
        )
        others = {each for each in (defined, running) if each and each != path}
        if path and others and not request.replace:
            raise Conflict(
                f"{known_as(others.pop())} is in the drive of guest {domain.name}: eject it first, "
                "or set replace",
                guest=domain.name,
            )
        before = {
            "medium": known_as(running),
            "medium_at_next_start": known_as(defined),
        }
        after = {
            "medium": known_as(path),
            "medium_at_next_start": known_as(path),
        }
        differences = Differences(before, after)
        if not check_mode and differences.changed:
            _put(host, domain, path, defined, running)
            domain = _find(host, request)
        shown = running if check_mode else path
        guest = read_guest(domain, VolumeCatalog(host), secure=not check_mode)
        return MediaOutcome(differences, known_as(shown), guest)


def _find(host: LibvirtHost, request: MediaRequest) -> Domain:
    domain = host.find_domain(request.id, request.name)
    if domain is None:
        raise NotFound(f"guest {request.id or request.name} does not exist on this host")
    return domain


def iso_path(host: LibvirtHost, image_id: str, image_pool: str) -> str:
    """The file of an ISO.

    :raises NotFound: there is no such image.
    :raises InvalidInput: it is a disk's.
    """
    pool = usable_pool(host, image_pool)
    found = pool.find_volume(names.image_file_name(image_id, "iso"))
    if found is not None:
        return found.path()
    for other in ("qcow2", "raw"):
        if pool.find_volume(names.image_file_name(image_id, other)) is not None:
            raise InvalidInput(
                f"image {image_id} is a disk's ({other}): an ISO can be inserted", field="image"
            )
    raise NotFound(
        f"image {image_id} is not in pool {image_pool} of this host: fetch it first",
        image=image_id,
        pool=image_pool,
    )


def _medium(domain: Domain, xml: str) -> str:
    found = drive_xml.medium(xml)
    if found is None:
        raise Conflict(f"guest {domain.name} has no CD drive", guest=domain.name)
    return found


def _put(host: LibvirtHost, domain: Domain, path: str, defined: str, running: str) -> None:
    """First where the guest sees it: when that fails, nothing has changed."""
    if domain.is_active() and running != path:
        domain.update_live(drive_xml.with_medium(domain.active_xml(secure=True), path)[1])
    if defined != path:
        host.define_domain(drive_xml.with_medium(domain.inactive_xml(secure=True), path)[0])
