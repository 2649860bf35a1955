# SPDX-License-Identifier: BSD-2-Clause
"""A disk's file made anew beside the old one, which it then replaces: compact, or as an image is.

The work goes on in a process of its own, under the guest's lock. Until the one moment in which the
new file takes the old one's name nothing has changed; what a killed run leaves is a volume of the
guest's that the next run deletes.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from typing import Callable, Dict, Iterator, Optional, Tuple

from . import disk_record, domain_xml, names, volume_xml
from .detached_run import DetachedRun, RunFailed
from .differences import Differences
from .errors import Busy, Conflict, NotFound, Unsupported
from .guest_disk_spec import RESET, DiskStateRequest
from .guest_reader import VolumeCatalog, position_of
from .guest_spec import DiskRequest, GuestDisk, GuestSpec
from .guest_volumes import check_image_fits, delete_volume, find_image
from .image_lock import image_lock
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool, Volume
from .object_lock import object_lock
from .pool_space import check_space, usable_pool
from .qemu_img import QemuImg
from .snapshot_tree import is_frozen

Report = Callable[[int], None]


@dataclass(frozen=True)
class Rewrite:
    """What is to be done with which file. ``image`` None: its own content, compact."""

    spec: GuestSpec
    position: int
    pool: Pool
    volume: Volume
    path: str
    image: Optional[Volume] = None
    image_format: str = ""

    @property
    def disk(self) -> GuestDisk:
        """The disk as it is defined."""
        return self.spec.disks[self.position]


def ensure_rewritten(
    host: LibvirtHost,
    domain: Domain,
    request: DiskStateRequest,
    check_mode: bool,
    lock_timeout_seconds: float,
) -> Tuple[Differences, int]:
    """Have the disk compact, or as its image; returns the differences and the progress.

    :raises Conflict: the guest's state or its snapshots forbid it.
    :raises CloudError: it failed; the disk is as it was.
    """
    run = DetachedRun("disk", domain.id)
    facts = {"disk": request.disk, "made": _made(request)}
    status = run.status()
    if status is not None and (status.state == "running" or status.is_fresh):
        if status.facts == facts and not check_mode:
            return _wait(run, request)
        if status.state == "running":
            raise Busy(
                f"a disk of guest {domain.name} is being rewritten, {status.percent} % are done: "
                "try again later",
                guest=domain.name,
            )
    rewrite = plan_rewrite(host, domain, request)
    if disk_record.is_untouched(rewrite.volume.name, rewrite.path, _made(request)):
        return Differences({}, {}), 100
    if check_mode:
        return _differences(request), 0
    run.start(_work(host.uri, domain.id, request, lock_timeout_seconds), facts)
    return _wait(run, request)


def _wait(run: DetachedRun, request: DiskStateRequest) -> Tuple[Differences, int]:
    status = run.wait(request.wait_seconds)
    if status is not None and status.state in ("failed", "killed"):
        run.forget()
        raise RunFailed(status)
    if status is None or status.state == "done":
        run.forget()
        return _differences(request), 100
    return _differences(request), status.percent


def _made(request: DiskStateRequest) -> str:
    if request.state != RESET:
        return request.state
    return f"{request.state} {request.image} {'copy' if request.full_copy else 'layer'}"


def _differences(request: DiskStateRequest) -> Differences:
    """What is in the file is not for us to tell, only what it is made of."""
    after = {"disk": request.disk, "file": request.state}
    if request.state == RESET:
        after["image"] = request.image
    before = {"disk": request.disk, "file": "written to since"}
    return Differences(before, after)


def plan_rewrite(host: LibvirtHost, domain: Domain, request: DiskStateRequest) -> Rewrite:
    """Check all that can be checked; changes nothing.

    :raises CloudError: it cannot be done; names the guest and the way out.
    """
    spec = domain_xml.parse(domain.inactive_xml(secure=False))
    position = position_of(spec, request.disk)
    if position is None:
        raise NotFound(
            f"guest {spec.name} has no disk {request.disk} in a storage pool",
            guest=spec.name,
            disk=request.disk,
        )
    disk = spec.disks[position]
    _check_state(domain, spec, disk, request)
    pool = usable_pool(host, disk.pool)
    volume = VolumeCatalog(host).find(disk)
    if volume is None:
        raise NotFound(f"volume {disk.volume} is missing in pool {disk.pool}", volume=disk.volume)
    path = volume.path()
    if not host.is_local_hypervisor or not os.path.isfile(path):
        raise Unsupported(
            f"volume {disk.volume} is no file of this machine: only such disks are rewritten, on "
            "the libvirt host itself",
            volume=disk.volume,
        )
    rewrite = Rewrite(spec, position, pool, volume, path)
    if request.state == RESET:
        rewrite = _with_image(host, rewrite, request)
    _check_room(host, rewrite, request)
    return rewrite


def _check_state(
    domain: Domain, spec: GuestSpec, disk: GuestDisk, request: DiskStateRequest
) -> None:
    problem = ""
    if domain.is_active():
        problem = f"is {domain.state()}: stop it first"
    elif not domain.is_persistent():
        problem = "is transient: it has no definition that could be changed"
    elif spec.incomplete:
        problem = "is incomplete: its creation or removal was interrupted; run that again first"
    elif any(each.unfinished for each in spec.snapshots.snapshots):
        problem = "has a snapshot that is half made or half deleted: run that again first"
    elif request.state == RESET and domain.has_saved_state():
        problem = "has a saved state that expects its disks as they are: remove it first"
    elif request.state == RESET and is_frozen(spec, disk):
        problem = "has snapshots of its system disk: delete those first, or go back to one of them"
    if problem:
        raise Conflict(f"guest {spec.name} {problem}", guest=spec.name)


def _with_image(host: LibvirtHost, rewrite: Rewrite, request: DiskStateRequest) -> Rewrite:
    image, image_format = find_image(host, request.image or "", request.image_pool)
    size = rewrite.volume.sizes()[0]
    check_image_fits(DiskRequest(size, request.image or ""), image)
    return replace(rewrite, image=image, image_format=image_format)


def _check_room(host: LibvirtHost, rewrite: Rewrite, request: DiskStateRequest) -> None:
    if rewrite.image is None:
        needed = rewrite.volume.sizes()[1]
    else:
        needed = rewrite.image.sizes()[0] if request.full_copy else 0
    check_space(host, rewrite.pool, needed)


def _work(
    uri: str, guest_id: str, request: DiskStateRequest, lock_timeout_seconds: float
) -> Callable[[Report], None]:
    def work(report: Report) -> None:
        # Connections of the process that forked us cannot be used here.
        with contextlib.ExitStack() as stack:
            stack.enter_context(object_lock("guest", guest_id, lock_timeout_seconds))
            host = stack.enter_context(LibvirtHost.open(uri))
            if request.image:
                stack.enter_context(
                    image_lock(
                        host, request.image_pool, request.image, lock_timeout_seconds, shared=True
                    )
                )
            domain = host.find_domain(guest_id, None)
            if domain is None:
                raise NotFound(f"guest {guest_id} was removed meanwhile", guest=guest_id)
            rewrite = plan_rewrite(host, domain, request)
            _rewrite(host, domain, rewrite, request, report, lock_timeout_seconds)

    return work


def _rewrite(
    host: LibvirtHost,
    domain: Domain,
    rewrite: Rewrite,
    request: DiskStateRequest,
    report: Report,
    wait_seconds: float,
) -> None:
    before = os.stat(rewrite.path)
    with _new_volume(rewrite, request, wait_seconds) as new:
        _fill(rewrite, request, new, report)
        os.chown(new, before.st_uid, before.st_gid)
        os.chmod(new, before.st_mode & 0o777)
        QemuImg().sync(new)
        if domain.is_active() or os.stat(rewrite.path).st_mtime_ns != before.st_mtime_ns:
            raise Conflict(
                f"guest {rewrite.spec.name} was started meanwhile: its disk is as it was",
                guest=rewrite.spec.name,
            )
        os.rename(new, rewrite.path)
    _sync_directory(os.path.dirname(rewrite.path))
    rewrite.pool.refresh(wait_seconds)
    if rewrite.image is not None:
        _write_down_image(host, domain, rewrite, request)
    disk_record.remember(rewrite.volume.name, rewrite.path, _made(request))


@contextlib.contextmanager
def _new_volume(rewrite: Rewrite, request: DiskStateRequest, wait_seconds: float) -> Iterator[str]:
    """The path of a volume of the guest's; gone afterwards, unless it was given another name."""
    name = names.new_volume_name(rewrite.spec.id)
    leftover = rewrite.pool.find_volume(name)
    if leftover is not None:
        delete_volume(leftover, wait_seconds)
    spec = volume_xml.VolumeSpec(name, 0, "raw")
    if rewrite.image is not None and not request.full_copy:
        size = rewrite.volume.sizes()[0]
        spec = volume_xml.VolumeSpec(
            name, size, "qcow2", rewrite.image.path(), rewrite.image_format
        )
    made = rewrite.pool.create_volume(volume_xml.build(spec))
    path = made.path()
    try:
        yield path
    except BaseException:
        if os.path.exists(path):
            delete_volume(made, wait_seconds)
        raise


def _fill(rewrite: Rewrite, request: DiskStateRequest, new: str, report: Report) -> None:
    tool = QemuImg()
    if rewrite.image is None:
        layer = tool.info(rewrite.path)
        below: Dict[str, str] = {}
        if layer.backing_path:
            below = {"path": layer.backing_path, "format": layer.backing_format}
        tool.convert(rewrite.path, "qcow2", new, "qcow2", report, below=below)
    elif request.full_copy:
        tool.convert(rewrite.image.path(), rewrite.image_format, new, "qcow2", report)
        tool.resize(new, rewrite.volume.sizes()[0])


def _write_down_image(
    host: LibvirtHost, domain: Domain, rewrite: Rewrite, request: DiskStateRequest
) -> None:
    disks = list(rewrite.spec.disks)
    disks[rewrite.position] = replace(rewrite.disk, image=request.image or "")
    xml = domain.inactive_xml(secure=True)
    host.define_domain(domain_xml.edit(xml, replace(domain_xml.parse(xml), disks=tuple(disks))))


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
