# SPDX-License-Identifier: BSD-2-Clause
"""The volume with cloud-init's medium: read, written, taken back. Its content has secrets.

Content goes through libvirt's streams: no file of it is ever anywhere else, nor readable by others.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Iterator, List, Optional

from . import names, volume_xml
from .cloud_init_files import GuestFacts, build_medium, differing
from .cloud_init_spec import CloudInitRequest
from .errors import CloudError
from .guest_spec import GuestSpec
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool
from .pool_space import usable_pool
from .volume_transfer import read_volume, write_volume


@dataclass(frozen=True)
class MediumPlan:
    """A guest's medium as it is to be, and as it is (None: there is none)."""

    pool: Pool
    name: str
    wanted: bytes
    found: Optional[bytes]

    @property
    def shown(self) -> Any:
        """(before, after) for a diff: without secrets, and equal when nothing changes."""
        return differing(self.found, self.wanted)


def plan_medium(
    host: LibvirtHost, spec: GuestSpec, request: Optional[CloudInitRequest]
) -> Optional[MediumPlan]:
    """The medium that a request asks for; None when it says nothing of one, or wants none.

    :raises CloudError: the pool cannot be used.
    """
    if request is None or not spec.cloud_init_pool:
        return None
    pool = usable_pool(host, spec.cloud_init_pool)
    name = names.cloud_init_volume_name(spec.id)
    volume = pool.find_volume(name)
    found = None if volume is None else read_volume(host, volume)
    facts = GuestFacts(spec.id, spec.name, spec.network.mac if spec.network else "")
    return MediumPlan(pool, name, build_medium(request, facts, found), found)


@contextlib.contextmanager
def written(host: LibvirtHost, plan: Optional[MediumPlan]) -> Iterator[None]:
    """Write a medium that differs; when the block fails, what was there is there again."""
    if plan is None or plan.wanted == plan.found:
        yield
        return
    try:
        _write(host, plan, plan.wanted)
        yield
    except BaseException as error:
        problems = _undo(host, plan)
        if problems and isinstance(error, CloudError):
            error.message += f"; and cloud-init's medium is not as it was: {'; '.join(problems)}"
        raise


def remove_medium(host: LibvirtHost, pool_name: str, guest_id: str) -> None:
    """Delete the medium of a guest that no longer has a drive for it."""
    pool = host.find_pool(pool_name)
    volume = pool.find_volume(names.cloud_init_volume_name(guest_id)) if pool else None
    if volume is not None:
        volume.delete()


def _write(host: LibvirtHost, plan: MediumPlan, content: bytes) -> None:
    """Always a new file: a running guest reads its old one until it is started again."""
    found = plan.pool.find_volume(plan.name)
    if found is not None:
        found.delete()
    spec = volume_xml.VolumeSpec(plan.name, len(content), "raw")
    made = plan.pool.create_volume(volume_xml.build(spec, private=True))
    write_volume(host, made, content)


def _undo(host: LibvirtHost, plan: MediumPlan) -> List[str]:
    try:
        if plan.found is not None:
            _write(host, plan, plan.found)
            return []
        made = plan.pool.find_volume(plan.name)
        if made is not None:
            made.delete()
    except CloudError as error:
        return [error.message]
    return []
