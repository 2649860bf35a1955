# SPDX-License-Identifier: BSD-2-Clause
"""Who uses which file on a host: volumes that are laid over it, guests that have it open."""

from __future__ import annotations

import contextlib
from typing import Dict, List, Tuple

from . import domain_xml, volume_xml
from .errors import NotFound
from .libvirt_host import LibvirtHost


class FileUsers:
    """All volumes laid over others, and all guests with their files, looked up once."""

    def __init__(self, host: LibvirtHost) -> None:
        self._over: Dict[str, List[str]] = {}
        self._of_guests: Dict[Tuple[str, str, str], List[str]] = {}
        for pool in host.pools():
            for volume in pool.volumes():
                # libvirt lists files that went behind its back until it looks again.
                with contextlib.suppress(NotFound):
                    below = volume_xml.parse(volume.xml()).backing_path
                    if below:
                        self._over.setdefault(below, []).append(volume.path())
        for domain in host.domains():
            with contextlib.suppress(NotFound):
                # What runs may have another medium in its drive than its definition.
                xmls = {domain.inactive_xml(secure=False), domain.active_xml(secure=False)}
                for used in {each for xml in xmls for each in domain_xml.referenced_files(xml)}:
                    self._of_guests.setdefault(used, []).append(f"guest {domain.name}")

    def of(self, path: str, pool: str, volume: str) -> List[str]:
        """Paths of volumes over a file, and names of guests that use it themselves."""
        found = list(self._over.get(path, ()))
        for (used, its_pool, its_volume), guests in self._of_guests.items():
            if used == path or (its_pool, its_volume) == (pool, volume):
                found.extend(guests)
        return sorted(set(found))
