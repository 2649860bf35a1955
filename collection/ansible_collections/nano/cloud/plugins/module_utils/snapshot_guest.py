# SPDX-License-Identifier: BSD-2-Clause
"""A guest whose snapshots are being changed: its definition, and the layers of its disks as files.

What is written down comes first or last, so that a run may die anywhere: volumes that are about to
be made, or are not needed any more, are listed as spare; which volume a disk writes to and which
ones a snapshot keeps change in one definition; a snapshot that is being taken of a running guest,
or merged away, says so. ``settle`` brings a guest out of all of these.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from typing import Dict, List, Optional, Set, Tuple

from . import domain_xml, names, volume_xml
from .constants import METADATA_PREFIX, METADATA_URI
from .domain_metadata_xml import metadata_text
from .errors import Busy, CloudError, Conflict, NotFound, Unsupported
from .guest_spec import GuestDisk
from .guest_volumes import delete_volume
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool, Volume
from .pool_space import usable_pool
from .qemu_img import LayerInfo, QemuImg
from .snapshot_tree import (
    CREATING,
    GuestVolume,
    Snapshot,
    SnapshotTree,
    by_slot,
    disk_layers,
    volume_of,
    with_disks_on,
)

_POLL_SECONDS = 0.2


class SnapshotGuest:
    """``spec`` is the guest as it is defined; ``save`` changes both."""

    def __init__(
        self, host: LibvirtHost, domain: Domain, tool: QemuImg, wait_seconds: float
    ) -> None:
        self.host = host
        self.domain = domain
        self.tool = tool
        self.wait_seconds = wait_seconds
        self.spec = domain_xml.parse(domain.inactive_xml(secure=False))

    @property
    def name(self) -> str:
        """The guest's name, for messages."""
        return self.spec.name

    @property
    def tree(self) -> SnapshotTree:
        """Its snapshots."""
        return self.spec.snapshots

    def save(self, tree: SnapshotTree, disks: Optional[Tuple[GuestDisk, ...]] = None) -> None:
        """Write down snapshots and disks, at once."""
        wanted = replace(
            self.spec, snapshots=tree, disks=self.spec.disks if disks is None else disks
        )
        xml = domain_xml.edit(self.domain.inactive_xml(secure=True), wanted)
        self.domain = self.host.define_domain(xml)
        self.spec = wanted
        self.tell_live()

    def tell_live(self) -> None:
        """The running guest's metadata is what others read; the definition is what counts."""
        with contextlib.suppress(CloudError):
            if self.domain.is_active():
                text = metadata_text(self.spec)
                self.domain.set_live_metadata(text, METADATA_PREFIX, METADATA_URI)

    def check_usable(self) -> None:
        """Refuse guests whose disks cannot be layered, or must not change now.

        :raises CloudError: names the guest and the way out.
        """
        problem = ""
        if not self.domain.is_persistent():
            problem = "is transient: it has no definition that could be changed"
        elif self.spec.incomplete:
            problem = "is incomplete: its creation or removal was interrupted; run that again first"
        elif self.domain.has_saved_state():
            problem = "has a saved state that expects its disks as they are: start it first"
        elif self.domain.snapshot_count():
            problem = "has snapshots that another tool has made with libvirt: remove those first"
        elif not self.spec.disks:
            problem = "has no disks"
        if problem:
            raise Conflict(f"guest {self.name} {problem}", guest=self.name)
        for index, disk in enumerate(self.spec.disks):
            if names.disk_slot(self.spec.id, disk.volume) is None:
                raise Unsupported(
                    f"disks[{index}] of guest {self.name} is not a volume that was made for it: "
                    "only disks in a storage pool, with their usual names, have snapshots",
                    guest=self.name,
                )

    # -- files --------------------------------------------------------------------------------

    def pool(self, ref: GuestVolume) -> Pool:
        """The pool of a volume."""
        return usable_pool(self.host, ref.pool)

    def volume(self, ref: GuestVolume) -> Volume:
        """A volume that has to be there.

        :raises NotFound: it is missing.
        """
        found = self.pool(ref).find_volume(ref.volume)
        if found is None:
            raise NotFound(
                f"volume {ref.volume} of guest {self.name} is missing in pool {ref.pool}",
                guest=self.name,
                volume=ref.volume,
                pool=ref.pool,
            )
        return found

    def path(self, ref: GuestVolume) -> str:
        """A volume's file."""
        return self.volume(ref).path()

    def info(self, ref: GuestVolume) -> LayerInfo:
        """A layer as its file says it is; libvirt may remember an earlier state."""
        return self.tool.info(self.path(ref))

    def make_overlay(self, ref: GuestVolume, below: GuestVolume) -> None:
        """An empty layer over another one, as large as that."""
        spec = volume_xml.VolumeSpec(
            ref.volume, self.info(below).size_bytes, "qcow2", self.path(below), "qcow2"
        )
        self.pool(ref).create_volume(volume_xml.build(spec))

    def dependents(self, ref: GuestVolume) -> List[GuestVolume]:
        """The layers directly over one, by what their files say."""
        path = os.path.realpath(self.path(ref))
        slot = names.disk_slot(self.spec.id, ref.volume)
        return [
            each
            for each in disk_layers(self.spec)
            if each != ref
            and names.disk_slot(self.spec.id, each.volume) == slot
            and os.path.realpath(self.info(each).backing_path or "/") == path
        ]

    def refresh_pools(self) -> None:
        """Have libvirt see the layers as they are: images are kept for those that it sees.

        :raises CloudError: a pool stayed busy.
        """
        for name in dict.fromkeys(each.pool for each in disk_layers(self.spec)):
            usable_pool(self.host, name).refresh(self.wait_seconds)

    def sync_layers(self) -> None:
        """Have all layers on the disk, before files go that they were laid over."""
        for each in disk_layers(self.spec):
            self.tool.sync(self.path(each))

    # -- the running guest --------------------------------------------------------------------

    def live_disks(self) -> Dict[str, Tuple[str, str]]:
        """Of a running guest, by slot: the device's name and the volume it writes to."""
        if not self.domain.is_active():
            return {}
        spec, facts = domain_xml.parse_with_facts(self.domain.active_xml(secure=False))
        found = {}
        for disk, target in zip(spec.disks, facts.disk_targets):
            volume = disk.volume or os.path.basename(disk.path)
            slot = names.disk_slot(self.spec.id, volume)
            if slot is not None:
                found[slot] = (target, volume)
        return found

    def live_volumes(self) -> Set[str]:
        """Names of all volumes that a running guest has open, layers beneath too."""
        if not self.domain.is_active():
            return set()
        files = domain_xml.referenced_files(self.domain.active_xml(secure=False))
        return {volume or os.path.basename(path) for path, _pool, volume in files}

    def all_live_targets(self) -> List[str]:
        """The names of all drives of the running guest, CD drives too."""
        return domain_xml.drive_names(self.domain.active_xml(secure=False))

    def wait_until_idle(self) -> None:
        """Wait while libvirt still saves or moves the guest for a run that was killed.

        :raises Busy: it did not end in time.
        """
        deadline = time.monotonic() + self.wait_seconds
        while self.domain.is_active() and self.domain.has_job():
            if time.monotonic() >= deadline:
                raise Busy(
                    f"guest {self.name} is being saved or migrated: try again later",
                    guest=self.name,
                )
            time.sleep(_POLL_SECONDS)


def settle(guest: SnapshotGuest) -> None:
    """Complete or undo what an interrupted run began, except the merging of a snapshot."""
    snapshot = guest.tree.unfinished(CREATING)
    if snapshot is not None:
        _settle_creation(guest, snapshot)
    delete_spare(guest)


def _settle_creation(guest: SnapshotGuest, snapshot: Snapshot) -> None:
    """The definition has the new layers already; only the running guest knows whether it has."""
    guest.wait_until_idle()
    frozen = by_slot(guest.spec.id, snapshot.volumes)
    live = {slot: volume for slot, (_target, volume) in guest.live_disks().items()}
    still_written = [slot for slot, ref in frozen.items() if live.get(slot) == ref.volume]
    if not still_written:
        # Of a guest that has stopped before its layers changed, the state is that of its end.
        memory = snapshot.memory if _is_whole(guest, snapshot.memory) else None
        tree = guest.tree.with_snapshot(replace(snapshot, memory=memory, unfinished=""))
        if memory is None and snapshot.memory is not None:
            tree = tree.with_spare(snapshot.memory)
        guest.save(tree)
        return
    unused = [
        volume_of(disk) for disk in guest.spec.disks if volume_of(disk) not in frozen.values()
    ]
    new = [ref for ref in unused if names.disk_slot(guest.spec.id, ref.volume) in frozen]
    tree = guest.tree.without_snapshot(snapshot.name).with_spare(*new)
    if snapshot.memory is not None:
        tree = tree.with_spare(snapshot.memory)
    guest.save(tree, with_disks_on(guest.spec, frozen))


def _is_whole(guest: SnapshotGuest, memory: Optional[GuestVolume]) -> bool:
    """Whether a memory was saved to its end; libvirt reads no other ones."""
    if memory is None:
        return False
    try:
        return bool(guest.host.saved_xml(guest.path(memory)))
    except CloudError:
        return False


def delete_spare(guest: SnapshotGuest) -> None:
    """Delete the volumes that nothing needs."""
    if not guest.tree.spare:
        return
    memory = [each.memory for each in guest.tree.snapshots if each.memory is not None]
    needed = {*disk_layers(guest.spec), *memory}
    live = guest.live_volumes()
    gone = []
    for ref in guest.tree.spare:
        if ref not in needed and ref.volume in live:
            continue
        if ref not in needed:
            _delete(guest, ref)
        gone.append(ref)
    guest.save(guest.tree.without_spare(*gone))


def _delete(guest: SnapshotGuest, ref: GuestVolume) -> None:
    pool = guest.pool(ref)
    volume = pool.find_volume(ref.volume)
    if volume is None:
        return
    try:
        delete_volume(volume, guest.wait_seconds)
    except CloudError:
        # libvirt remembers a file that has gone otherwise.
        pool.refresh()
        if pool.find_volume(ref.volume) is not None:
            raise
