# SPDX-License-Identifier: BSD-2-Clause
"""A cell's cached images: fetched, checked, counted, removed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional

from . import names, pool_xml
from .constants import IMAGE_FORMATS, MIB
from .detached_run import DetachedRun
from .differences import Differences
from .errors import Conflict, InvalidInput, UnsafeImage, Unsupported
from .file_users import FileUsers
from .image_download import Download
from .image_inspection import inspect_image
from .image_lock import image_lock, shared_state_directory
from .image_spec import ImageRequest
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool
from .object_lock import lock_directory
from .pool_space import check_space, usable_pool


@dataclass(frozen=True)
class ImageRecord:
    """What was found out about a finished file; true only while its size and time are the same."""

    checksum: str
    size_bytes: int
    modified_ns: int
    virtual_size_bytes: int


@dataclass(frozen=True)
class ImageOutcome:
    """What was (in check mode: would be) different, the image, and how far it is (0 to 100)."""

    differences: Differences
    image: Optional[Dict[str, Any]]
    progress: int


def ensure_image_present(
    host: LibvirtHost, request: ImageRequest, check_mode: bool, lock_timeout_seconds: float
) -> ImageOutcome:
    """Have the image in the pool: fetched, verified and inspected, or not at all.

    :raises CloudError: it cannot be fetched, is not what was declared, or another one has its id.
    """
    with _locked(host, request, check_mode, lock_timeout_seconds):
        cache = ImageCache(host, request)
        cache.refuse_other_format()
        after = {
            "id": request.id,
            "format": request.format,
            "pool": request.pool,
            "checksum": request.checksum_text,
        }
        if os.path.exists(cache.path):
            record = cache.verified_record(keep=not check_mode)
            if not check_mode:
                cache.make_known()
            return ImageOutcome(Differences({}, {}), cache.values(record), 100)
        if request.url is None:
            raise InvalidInput(
                f"image {request.id} is not in pool {request.pool}: url is required", field="url"
            )
        if check_mode:
            return ImageOutcome(Differences({}, after), cache.values(None), 0)
        download = cache.download(request.url)
        if not download.run(request.wait_seconds):
            progress = download.progress_percent()
            return ImageOutcome(Differences({}, after), cache.values(None), progress)
        record = cache.accept(download)
        return ImageOutcome(Differences({}, after), cache.values(record), 100)


def ensure_image_absent(
    host: LibvirtHost, request: ImageRequest, check_mode: bool, lock_timeout_seconds: float
) -> ImageOutcome:
    """Remove the image, and what an interrupted fetch left of it; end what is made or sent of it.

    :raises Conflict: volumes or guests depend on it; names them.
    """
    if not check_mode:
        _end_runs(request, lock_timeout_seconds)
    with _locked(host, request, check_mode, lock_timeout_seconds):
        cache = ImageCache(host, request)
        leftovers = cache.files_of_any_format()
        if not leftovers:
            return ImageOutcome(Differences({}, {}), None, 0)
        dependents = [each for path in leftovers for each in cache.dependents(path)]
        if dependents:
            raise Conflict(
                f"image {request.id} is in use: {', '.join(dependents[:5])}"
                f"{', …' if len(dependents) > 5 else ''}; remove those first",
                image=request.id,
                dependents=dependents,
            )
        if not check_mode:
            cache.remove(leftovers)
        files = sorted(os.path.basename(path) for path in leftovers)
        return ImageOutcome(Differences({"id": request.id, "files": files}, {}), None, 0)


def _end_runs(request: ImageRequest, wait_seconds: float) -> None:
    for kind in ("capture", "upload"):
        run = DetachedRun(kind, f"{request.pool}-{request.id}")
        if run.status() is not None:
            run.end()
            run.wait(max(wait_seconds, 1))
            run.forget()


@contextlib.contextmanager
def _locked(
    host: LibvirtHost, request: ImageRequest, check_mode: bool, timeout_seconds: float
) -> Iterator[None]:
    if check_mode:
        yield
        return
    with image_lock(host, request.pool, request.id, timeout_seconds):
        yield


def _state_directory() -> str:
    """Beside the pool, not in it: libvirt takes every file in a pool for a volume."""
    if os.geteuid() == 0:
        return "/var/lib/nano-cloud/images"
    return os.path.join(lock_directory(), "images")


class ImageCache:
    """The files of one image in one pool of this host."""

    def __init__(self, host: LibvirtHost, request: ImageRequest) -> None:
        self._host = host
        self._request = request
        self._pool: Pool = usable_pool(host, request.pool)
        self._directory = pool_xml.parse(self._pool.xml()).path
        if not self._directory or not os.path.isdir(self._directory):
            raise Unsupported(
                f"pool {request.pool} is no directory on this host: images need one",
                pool=request.pool,
            )
        self.path = os.path.join(self._directory, request.file_name)
        self._partial_path = os.path.join(self._directory, f".{request.id}.partial")
        # Hosts that share the pool share what they know of it: one goes on where another stopped.
        shared = shared_state_directory(host, request.pool)
        state = shared or os.path.join(_state_directory(), request.pool)
        self._record_path = os.path.join(state, f"{request.file_name}.json")
        self._download_state_path = os.path.join(state, f"{request.id}.partial.json")

    def refuse_other_format(self) -> None:
        for path in self.files_of_any_format():
            if path not in (self.path, self._partial_path):
                raise Conflict(
                    f"image {self._request.id} exists as {os.path.basename(path)}, not as "
                    f"{self._request.format}: remove it first, or use another id",
                    field="format",
                    image=self._request.id,
                )

    def files_of_any_format(self) -> List[str]:
        finished = [names.image_file_name(self._request.id, each) for each in IMAGE_FORMATS]
        paths = [os.path.join(self._directory, name) for name in finished] + [self._partial_path]
        return [path for path in paths if os.path.lexists(path)]

    def download(self, url: str) -> Download:
        os.makedirs(os.path.dirname(self._record_path), mode=0o700, exist_ok=True)
        return Download(
            url,
            self._request.bearer_token,
            self._partial_path,
            self._download_state_path,
            lambda needed: check_space(self._host, self._pool, needed),
            self._request.ca_certificate,
        )

    def accept(self, download: Download) -> ImageRecord:
        """From a complete partial file to an image; a bad one is deleted."""
        try:
            record = self._examine(self._partial_path)
            self._check_wanted(record)
        except UnsafeImage:
            download.discard()
            raise
        self._publish(record)
        download.discard()
        return record

    def make(self, write: Callable[[str], None]) -> ImageRecord:
        """Have ``write(path)`` make the image's file; nothing is left of it when that fails."""
        try:
            write(self._partial_path)
            record = self._examine(self._partial_path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._partial_path)
            raise
        self._publish(record)
        return record

    def _publish(self, record: ImageRecord) -> None:
        os.rename(self._partial_path, self.path)
        _sync_directory(self._directory)
        self._save(record)
        self._pool.refresh()

    def known_record(self) -> Optional[ImageRecord]:
        """What was found out about the finished file; None when it has changed since."""
        return self._load()

    def verified_record(self, keep: bool) -> ImageRecord:
        """The record of the finished file; a missing or stale one is made again.

        :raises Conflict: the file has another checksum than the one asked for.
        """
        record = self._load()
        if record is None or not self._same_algorithm(record):
            record = self._examine(self.path)
            if keep:
                self._save(record)
        wanted = self._request.checksum_text
        if wanted and record.checksum != wanted:
            raise Conflict(
                f"image {self._request.id} is here with checksum {record.checksum}, not {wanted}: "
                "remove it first, or use another id",
                field="checksum",
                image=self._request.id,
            )
        self._check_size(record)
        return record

    def make_known(self) -> None:
        """A run that was killed after the rename has not told libvirt."""
        if self._pool.find_volume(self._request.file_name) is None:
            self._pool.refresh()

    def remove(self, paths: List[str]) -> None:
        for path in paths:
            os.unlink(path)
        _sync_directory(self._directory)
        for path in (self._record_path, self._download_state_path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        self._pool.refresh()

    def dependents(self, path: str) -> List[str]:
        """Paths of volumes that have the image beneath them, names of guests that use it itself."""
        users = FileUsers(self._host)
        return users.of(path, self._pool.name, os.path.basename(path))

    def values(self, record: Optional[ImageRecord]) -> Dict[str, Any]:
        """The image as plain values; ``record`` None while it is not ready."""
        return {
            "id": self._request.id,
            "path": self.path,
            "format": self._request.format,
            "ready": record is not None,
            "size_bytes": record.size_bytes if record else None,
            "virtual_size_bytes": record.virtual_size_bytes if record else None,
            "checksum": record.checksum if record else self._request.checksum_text or None,
            "dependents": self.dependents(self.path) if record else [],
        }

    def _examine(self, path: str) -> ImageRecord:
        wanted = self._request.checksum
        algorithm = wanted[0] if wanted else "sha256"
        checksum = f"{algorithm}:{_digest(path, algorithm)}"
        virtual_size = 0
        if not wanted or checksum == self._request.checksum_text:
            virtual_size = inspect_image(path, self._request.format)
        found = os.stat(path)
        return ImageRecord(checksum, found.st_size, found.st_mtime_ns, virtual_size)

    def _check_wanted(self, record: ImageRecord) -> None:
        wanted = self._request.checksum_text
        if wanted and record.checksum != wanted:
            raise UnsafeImage(
                f"the file fetched for image {self._request.id} has checksum {record.checksum}, "
                f"not {wanted}: it was deleted; check the url, or the checksum",
                image=self._request.id,
            )
        self._check_size(record)

    def _check_size(self, record: ImageRecord) -> None:
        limit = self._request.max_virtual_size_bytes
        if limit is not None and record.virtual_size_bytes > limit:
            raise UnsafeImage(
                f"image {self._request.id} has a virtual size of {record.virtual_size_bytes} "
                f"bytes, more than max_virtual_size_bytes {limit}",
                image=self._request.id,
            )

    def _same_algorithm(self, record: ImageRecord) -> bool:
        wanted = self._request.checksum
        return wanted is None or record.checksum.startswith(wanted[0] + ":")

    def _load(self) -> Optional[ImageRecord]:
        try:
            with open(self._record_path, encoding="utf-8") as file:
                record = ImageRecord(**json.load(file))
        except (FileNotFoundError, ValueError, TypeError):
            return None  # Never written, or half: it is made again.
        found = os.stat(self.path)
        same = (record.size_bytes, record.modified_ns) == (found.st_size, found.st_mtime_ns)
        return record if same and record.virtual_size_bytes else None

    def _save(self, record: ImageRecord) -> None:
        os.makedirs(os.path.dirname(self._record_path), mode=0o700, exist_ok=True)
        with open(self._record_path, "w", encoding="utf-8") as file:
            json.dump(asdict(record), file)


def _digest(path: str, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(MIB), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
