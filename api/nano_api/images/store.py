# SPDX-License-Identifier: Apache-2.0
"""The files of images: one that is arriving, the finished ones, and what a crash left behind.

All names are made here from an image's id. An arriving file is locked (flock) by who writes it:
the lock ends with the process, so nothing has to be tidied before an upload can be repeated, and
several API processes may share the folder. All of this blocks: call it in a thread.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nano_api.errors import Busy, NoSpace, NotFound
from nano_api.images.inspection import ALL_FORMATS

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class IncomingFile:
    """The file that one upload writes; gone on ``discard``.

    ``discard`` may come from another thread while one still writes (a stopping server does not
    wait for its threads): every use of the descriptor holds ``_guard``, so that a number which
    the system has given to another file meanwhile is never written to.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.size_bytes = 0
        self._descriptor = descriptor
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._published = False
        self._guard = threading.Lock()

    def write(self, data: memoryview) -> None:
        """Append.

        :raises NoSpace: the disk is full
        :raises NotFound: the image was deleted meanwhile
        """
        with self._guard:
            self._check_wanted()
            try:
                written = 0
                while written < len(data):
                    written += os.write(self._descriptor, data[written:])
            except OSError as error:
                raise _storage_error(error) from error
        self._sha1.update(data)
        self._sha256.update(data)
        self.size_bytes += len(data)

    def flush_to_disk(self) -> None:
        """Make what was written survive a power failure.

        :raises NoSpace: the disk is full
        :raises NotFound: the image was deleted meanwhile
        """
        with self._guard:
            self._check_wanted()
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                raise _storage_error(error) from error

    @property
    def sha1(self) -> str:
        """Of what was written so far, hex."""
        return self._sha1.hexdigest()

    @property
    def sha256(self) -> str:
        """Of what was written so far, hex."""
        return self._sha256.hexdigest()

    def publish(self, target: Path) -> None:
        """Give the file its final name, durably. It stays locked until ``discard``.

        :raises NotFound: the image was deleted meanwhile
        """
        with self._guard:
            self._check_wanted()
            self.path.rename(target)
            self._published = True
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Unlock; and remove the file unless it was published."""
        with self._guard:
            if self._descriptor < 0:
                return
            if not self._published and os.fstat(self._descriptor).st_nlink:
                self.path.unlink(missing_ok=True)
            # Unlocked by word: a child process just forked may hold the descriptor too.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1

    def _check_wanted(self) -> None:
        if self._descriptor < 0 or not os.fstat(self._descriptor).st_nlink:
            raise NotFound("the image was deleted while its file was uploaded, or the server stops")


class ImageStore:
    """The folder of images."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"

    def path_of(self, image_id: str, image_format: str) -> Path:
        """Where the finished file of an image is."""
        return self._folder / f"{image_id}.{image_format}"

    def open_incoming(self, image_id: str) -> IncomingFile:
        """A new, empty, locked file for an upload.

        :raises Busy: another upload for this image goes on
        :raises NoSpace: the disk is full
        """
        self._incoming.mkdir(mode=0o700, exist_ok=True)
        path = self._incoming_path(image_id)
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            except OSError as error:
                raise _storage_error(error) from error
            if not _try_lock(descriptor):
                os.close(descriptor)
                raise Busy(
                    "another upload for this image goes on; wait for its end, or delete the image",
                    image=image_id,
                )
            if _is_still(path, descriptor):
                os.ftruncate(descriptor, 0)
                return IncomingFile(path, descriptor)
            os.close(descriptor)  # its last owner renamed or removed it in between: once more

    def received_bytes(self, image_id: str) -> int:
        """How much of a running upload has arrived; 0 without one."""
        try:
            return self._incoming_path(image_id).stat().st_size
        except FileNotFoundError:
            return 0

    def free_bytes(self) -> int:
        """Room that is left for files."""
        figures = os.statvfs(self._folder)
        return figures.f_bavail * figures.f_frsize

    def remove(self, image_id: str) -> None:
        """Remove every file of an image; an upload that goes on notices and ends."""
        self._incoming_path(image_id).unlink(missing_ok=True)
        for image_format in ALL_FORMATS:
            self.path_of(image_id, image_format).unlink(missing_ok=True)

    def sweep(self, is_finished: Callable[[str, str], bool]) -> list[str]:
        """Remove what crashes left: arriving files nobody writes, and finished ones no row has.

        ``is_finished(image_id, format)`` tells whether a row has that file. Returns the names.
        """
        removed = []
        if self._incoming.is_dir():
            removed += [path.name for path in self._incoming.iterdir() if _remove_unlocked(path)]
        for path in self._folder.iterdir():
            image_id, _, image_format = path.name.rpartition(".")
            if not path.is_file() or image_format not in ALL_FORMATS:
                continue
            # Asked again under the lock: the upload may have ended between its rename and commit.
            if _remove_unlocked(path, unless=partial(is_finished, image_id, image_format)):
                removed.append(path.name)
        return removed

    def _incoming_path(self, image_id: str) -> Path:
        return self._incoming / f"{image_id}.part"


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_unlocked(path: Path, unless: Callable[[], bool] = lambda: False) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        if not _try_lock(descriptor) or not _is_still(path, descriptor) or unless():
            return False
        path.unlink()
        return True
    finally:
        os.close(descriptor)


def _storage_error(error: OSError) -> Exception:
    if error.errno in _NO_ROOM:
        return NoSpace(
            "the server has no space left for the image; free some, then upload it again"
        )
    return error
