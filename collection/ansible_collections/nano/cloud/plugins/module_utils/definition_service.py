# SPDX-License-Identifier: BSD-2-Clause
"""A guest that libvirt has forgotten, defined again from its XML on the disks that it had."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Dict

from . import domain_xml, names
from .differences import Differences
from .errors import Conflict, InvalidInput
from .guest_reader import VolumeCatalog, read_guest
from .libvirt_host import LibvirtHost
from .object_lock import object_lock


@dataclass(frozen=True)
class DefinitionOutcome:
    """What was (in check mode: would be) different, and the guest, if it is there."""

    differences: Differences
    guest: Dict[str, Any]


def ensure_defined(
    host: LibvirtHost, xml: str, check_mode: bool, lock_timeout_seconds: float
) -> DefinitionOutcome:
    """Define the guest; one that is there is left as it is.

    :raises InvalidInput: the XML is no definition of a guest.
    :raises Conflict: a disk of it is missing, or another guest has its name.
    """
    spec = domain_xml.parse(xml)
    if not spec.id or not spec.name:
        raise InvalidInput("xml must be a domain with a uuid and a name", field="xml")
    names.check_guest_id(spec.id)
    with contextlib.ExitStack() as locks:
        if not check_mode:
            locks.enter_context(object_lock("guest", spec.id, lock_timeout_seconds))
        found = host.find_domain(spec.id, None)
        if found is not None:
            return DefinitionOutcome(Differences({}, {}), read_guest(found, VolumeCatalog(host)))
        _check(host, xml, spec.name)
        differences = Differences({}, {"id": spec.id, "name": spec.name})
        if check_mode:
            return DefinitionOutcome(differences, {})
        domain = host.define_domain(xml)
        return DefinitionOutcome(differences, read_guest(domain, VolumeCatalog(host)))


def _check(host: LibvirtHost, xml: str, name: str) -> None:
    if host.find_domain(None, name) is not None:
        raise Conflict(f"another guest is called {name}: rename it first", field="xml", guest=name)
    for path, pool_name, volume in domain_xml.referenced_files(xml):
        if not volume:
            continue  # A path may be remote: QEMU says more about it at the start than we could.
        pool = host.find_pool(pool_name)
        if pool is None or pool.find_volume(volume) is None:
            raise Conflict(
                f"volume {volume} of guest {name} is not in pool {pool_name}: without its disk it "
                "is not defined again",
                field="xml",
                guest=name,
                path=path,
            )
