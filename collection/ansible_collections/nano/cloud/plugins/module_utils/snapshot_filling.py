# SPDX-License-Identifier: BSD-2-Clause
"""A running guest's own layer being filled with what it needs of the one below.

When QEMU has copied all, it first forgets the layer below, in the file's head; the tables that find
the copied data in the file it writes when it likes. A QEMU that is killed before has lost them. So
a mark says that the layer is being filled; it goes when the guest has been held for a moment, for
then QEMU writes everything down. Where the guest has ended before, the layer is laid over the one
below again, which changes nothing that it has, and gives back what it has not.
"""

from __future__ import annotations

from dataclasses import replace

from . import names
from .errors import Conflict
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .qemu_img import QemuImg
from .snapshot_guest import SnapshotGuest
from .snapshot_tree import DELETING, HOLDING, GuestVolume, Snapshot, by_slot


def begin_filling(guest: SnapshotGuest, snapshot: Snapshot, layer: GuestVolume) -> None:
    """Mark the layer before QEMU begins.

    :raises Conflict: the guest does not run on, so it could not be held afterwards.
    """
    state = guest.domain.state()
    if state != "running":
        raise Conflict(
            f"guest {guest.name} is {state}: let it run, or stop it, before snapshot "
            f"{snapshot.name} is merged into the layer that it writes to",
            guest=guest.name,
            snapshot=snapshot.name,
        )
    if snapshot.filling != layer:
        guest.save(guest.tree.with_snapshot(replace(snapshot, filling=layer)))


def settle_filling(guest: SnapshotGuest, name: str) -> None:
    """Have the layer written down if it is full, laid over the one below if the guest has ended."""
    snapshot = guest.tree.find(name)
    if snapshot is None or snapshot.filling is None:
        return
    if snapshot.unfinished == HOLDING and guest.domain.state() == "paused":
        guest.domain.resume()  # Held by a run that was killed.
    layer = snapshot.filling
    below = by_slot(guest.spec.id, snapshot.volumes)
    under = below.get(names.disk_slot(guest.spec.id, layer.volume) or "")
    if under is not None and layer not in guest.dependents(under):
        if guest.domain.is_active():
            _write_down(guest, snapshot, layer)
        if not guest.domain.is_active():
            guest.tool.relink(guest.path(layer), guest.path(under), "qcow2")
    elif guest.domain.is_active() and snapshot.unfinished != HOLDING:
        return  # QEMU is still at it, or has failed; either is found out where that is planned.
    guest.save(guest.tree.with_snapshot(replace(snapshot, unfinished=DELETING, filling=None)))


def complete_layers(host: LibvirtHost, domain: Domain, wait_seconds: float) -> None:
    """Before a guest starts: give its layers back what a killed QEMU has not written down."""
    if domain.is_active() or not host.is_local_hypervisor:
        return
    guest = SnapshotGuest(host, domain, QemuImg(), wait_seconds)
    for snapshot in guest.tree.snapshots:
        if snapshot.filling is not None:
            settle_filling(guest, snapshot.name)


def _write_down(guest: SnapshotGuest, snapshot: Snapshot, layer: GuestVolume) -> None:
    # Most of it while the guest runs, so that it is not held for long.
    guest.tool.sync(guest.path(layer))
    guest.save(guest.tree.with_snapshot(replace(snapshot, unfinished=HOLDING)))
    try:
        guest.domain.pause()
    finally:
        if guest.domain.state() == "paused":
            guest.domain.resume()
