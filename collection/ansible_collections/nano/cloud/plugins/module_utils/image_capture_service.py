# SPDX-License-Identifier: BSD-2-Clause
"""An image made from a guest's disk, or from the state of it in a snapshot: whole, and sparse.

It is written beside us, under the guest's lock, so that nobody starts the guest meanwhile. The
image has its name only when it is complete.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional

from . import domain_xml, names
from .detached_run import DetachedRun, RunFailed
from .differences import Differences
from .errors import Busy, Conflict, NotFound, Unsupported
from .guest_reader import position_of
from .guest_spec import GuestSpec
from .image_capture_spec import CaptureRequest
from .image_lock import image_lock
from .image_service import ImageCache, ImageOutcome, ensure_image_present
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .object_lock import object_lock
from .pool_space import check_space, usable_pool
from .qemu_img import QemuImg
from .snapshot_tree import GuestVolume, by_slot, volume_of

# The rest is for reading the whole file once more, for its checksum.
_WRITING_PERCENT = 90

Report = Callable[[int], None]


@dataclass(frozen=True)
class CaptureSource:
    """The file that the image is made from; what it is laid over is read with it."""

    guest_id: str
    guest_name: str
    path: str


def ensure_captured(
    host: LibvirtHost, request: CaptureRequest, check_mode: bool, lock_timeout_seconds: float
) -> ImageOutcome:
    """Have the image; one of that id that is there is left alone.

    :raises NotFound: there is no such guest, disk or snapshot.
    :raises Conflict: the guest runs and no snapshot is named.
    """
    image = request.image
    run = DetachedRun("capture", f"{image.pool}-{image.id}")
    facts = {"guest": request.guest_id or request.guest_name, "disk": request.disk}
    status = run.status()
    if status is not None and (status.state == "running" or status.is_fresh):
        if status.facts == facts and not check_mode:
            return _wait(host, run, request, lock_timeout_seconds)
        if status.state == "running":
            raise Busy(f"image {image.id} is being captured: try again later", image=image.id)
    cache = ImageCache(host, image)
    cache.refuse_other_format()
    if os.path.exists(cache.path):
        return ensure_image_present(host, image, check_mode, lock_timeout_seconds)
    plan_capture(host, request)
    if check_mode:
        return ImageOutcome(_differences(request), cache.values(None), 0)
    run.start(_work(host.uri, request, lock_timeout_seconds), facts)
    return _wait(host, run, request, lock_timeout_seconds)


def _differences(request: CaptureRequest) -> Differences:
    image = request.image
    after: Dict[str, Any] = {"id": image.id, "format": image.format, "pool": image.pool}
    return Differences({}, after)


def _wait(
    host: LibvirtHost, run: DetachedRun, request: CaptureRequest, lock_timeout_seconds: float
) -> ImageOutcome:
    status = run.wait(request.wait_seconds)
    if status is not None and status.state in ("failed", "killed"):
        run.forget()
        raise RunFailed(status)
    if status is not None and status.state == "running":
        cache = ImageCache(host, request.image)
        return ImageOutcome(_differences(request), cache.values(None), status.percent)
    run.forget()
    made = ensure_image_present(host, request.image, False, lock_timeout_seconds)
    return ImageOutcome(_differences(request), made.image, 100)


def plan_capture(host: LibvirtHost, request: CaptureRequest) -> CaptureSource:
    """Find the file, and check that nobody writes to it; changes nothing."""
    domain = host.find_domain(request.guest_id, request.guest_name)
    if domain is None:
        raise NotFound(
            f"guest {request.guest_id or request.guest_name} does not exist on this host"
        )
    spec = domain_xml.parse(domain.inactive_xml(secure=False))
    position = position_of(spec, request.disk)
    if position is None:
        raise NotFound(
            f"guest {spec.name} has no disk {request.disk} in a storage pool", guest=spec.name
        )
    if request.snapshot is None:
        _check_at_rest(domain, spec)
        ref = volume_of(spec.disks[position])
    else:
        ref = _frozen(spec, request, request.snapshot)
    volume = usable_pool(host, ref.pool).find_volume(ref.volume)
    if volume is None:
        raise NotFound(f"volume {ref.volume} is missing in pool {ref.pool}", volume=ref.volume)
    path = volume.path()
    if not host.is_local_hypervisor or not os.path.isfile(path):
        raise Unsupported(
            f"volume {ref.volume} is no file of this machine: images are made of such disks only, "
            "on the libvirt host itself",
            volume=ref.volume,
        )
    return CaptureSource(spec.id, spec.name, path)


def _check_at_rest(domain: Domain, spec: GuestSpec) -> None:
    problem = ""
    if domain.is_active():
        problem = f"is {domain.state()}: stop it first, or name one of its snapshots"
    elif domain.has_saved_state():
        problem = "has a saved state, and its disks are amid work: start and stop it first"
    elif spec.incomplete:
        problem = "is incomplete: its creation or removal was interrupted; run that again first"
    if problem:
        raise Conflict(f"guest {spec.name} {problem}", guest=spec.name)


def _frozen(spec: GuestSpec, request: CaptureRequest, name: str) -> GuestVolume:
    """The volume with the disk's state in a snapshot."""
    snapshot = spec.snapshots.find(name)
    if snapshot is None:
        raise NotFound(f"guest {spec.name} has no snapshot {name}", guest=spec.name, snapshot=name)
    if snapshot.unfinished:
        raise Conflict(
            f"snapshot {name} of guest {spec.name} is half made or half deleted: run that again",
            guest=spec.name,
            snapshot=name,
        )
    slot = names.disk_slot(spec.id, names.volume_name(spec.id, request.disk)) or ""
    found: Optional[GuestVolume] = by_slot(spec.id, snapshot.volumes).get(slot)
    if found is None:
        raise NotFound(
            f"snapshot {name} of guest {spec.name} has no state of disk {request.disk}",
            guest=spec.name,
            snapshot=name,
        )
    return found


def _work(
    uri: str, request: CaptureRequest, lock_timeout_seconds: float
) -> Callable[[Report], None]:
    def work(report: Report) -> None:
        # Connections of the process that forked us cannot be used here.
        with contextlib.ExitStack() as stack:
            host = stack.enter_context(LibvirtHost.open(uri))
            guest_id = plan_capture(host, request).guest_id
            stack.enter_context(object_lock("guest", guest_id, lock_timeout_seconds))
            stack.enter_context(
                image_lock(host, request.image.pool, request.image.id, lock_timeout_seconds)
            )
            _capture(host, plan_capture(host, request), request, report)

    return work


def _capture(
    host: LibvirtHost, source: CaptureSource, request: CaptureRequest, report: Report
) -> None:
    tool, wanted = QemuImg(), request.image.format
    needed = tool.measure(source.path, "qcow2", wanted)
    check_space(host, usable_pool(host, request.image.pool), needed)

    def write(path: str) -> None:
        def told(percent: int) -> None:
            report(percent * _WRITING_PERCENT // 100)

        tool.convert(source.path, "qcow2", path, wanted, told, compress=request.compress)
        tool.sync(path)

    ImageCache(host, request.image).make(write)
