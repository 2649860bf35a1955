# SPDX-License-Identifier: BSD-2-Clause
"""libvirt's storage pools and volumes, with typed calls."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

from .errors import Busy, Conflict, HypervisorError, NotFound
from .libvirt_binding import flags, is_error, translated

#: For the copy of an image, which may be large.
_REFRESH_WAIT_SECONDS = 120.0
_REFRESH_PAUSE_SECONDS = 0.5


class Volume:
    """A storage volume."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.name = str(handle.name())

    def path(self) -> str:
        """Absolute path on the host."""
        with translated(f"find volume {self.name}"):
            return str(self._handle.path())

    def xml(self) -> str:
        """The volume's XML."""
        with translated(f"read volume {self.name}"):
            return str(self._handle.XMLDesc(0))

    def sizes(self) -> Tuple[int, int]:
        """(what the guest sees, what the file takes), in bytes."""
        with translated(f"read volume {self.name}"):
            _kind, capacity, allocation = self._handle.info()
        return int(capacity), int(allocation)

    def resize(self, size_bytes: int) -> None:
        """Grow the volume of a guest that does not run; never shrinks."""
        with translated(f"grow volume {self.name} to {size_bytes} bytes"):
            self._handle.resize(size_bytes, 0)

    def download(self, stream: Any) -> None:
        """Have libvirt send the file's bytes into a stream, holes as holes."""
        self._handle.download(stream, 0, 0, flags("STORAGE_VOL_DOWNLOAD_SPARSE_STREAM"))

    def upload(self, stream: Any) -> None:
        """Have libvirt take the file's bytes from a stream, holes as holes."""
        self._handle.upload(stream, 0, 0, flags("STORAGE_VOL_UPLOAD_SPARSE_STREAM"))

    def delete(self) -> None:
        """Delete the file.

        :raises Conflict: libvirt is still filling it.
        """
        try:
            with translated(f"delete volume {self.name}"):
                self._handle.delete(0)
        except HypervisorError as error:
            if is_error(error, "OPERATION_INVALID"):
                raise Conflict(error.message, volume=self.name) from error
            raise


@dataclass(frozen=True)
class PoolInfo:
    """A pool's state (``active``…) and sizes in bytes as of its last refresh."""

    state: str
    capacity_bytes: int
    allocation_bytes: int
    available_bytes: int


class Pool:
    """A storage pool."""

    _STATES = ("inactive", "building", "active", "degraded", "inaccessible")

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.name = str(handle.name())

    def xml(self) -> str:
        """The pool's XML."""
        with translated(f"read pool {self.name}"):
            return str(self._handle.XMLDesc(0))

    def inactive_xml(self) -> str:
        """The XML that it will have at its next start."""
        try:
            with translated(f"read pool {self.name}"):
                return str(self._handle.XMLDesc(flags("STORAGE_XML_INACTIVE")))
        except HypervisorError as error:
            if is_error(error, "INVALID_ARG"):
                return self.xml()  # libvirt's test driver knows one definition only.
            raise

    def info(self) -> PoolInfo:
        """State and sizes."""
        with translated(f"read pool {self.name}"):
            state, capacity, allocation, available = self._handle.info()
        name = self._STATES[state] if state < len(self._STATES) else "unknown"
        return PoolInfo(name, int(capacity), int(allocation), int(available))

    def is_active(self) -> bool:
        """Whether the pool is started."""
        with translated(f"read pool {self.name}"):
            return bool(self._handle.isActive())

    def autostart(self) -> bool:
        """Whether libvirt starts it with the host."""
        with translated(f"read pool {self.name}"):
            return bool(self._handle.autostart())

    def set_autostart(self, wanted: bool) -> None:
        """Have libvirt start it with the host, or not."""
        with translated(f"set autostart of pool {self.name}"):
            self._handle.setAutostart(int(wanted))

    def build(self) -> None:
        """Make its directory."""
        with translated(f"make the directory of pool {self.name}"):
            self._handle.build(0)

    def start(self) -> None:
        """Start it."""
        with translated(f"start pool {self.name}"):
            self._handle.create(0)

    def stop(self) -> None:
        """Stop it; its files stay."""
        with translated(f"stop pool {self.name}"):
            self._handle.destroy()

    def undefine(self) -> None:
        """Forget it; its files stay."""
        with translated(f"remove pool {self.name}"):
            self._handle.undefine()

    def refresh(self, wait_seconds: float = _REFRESH_WAIT_SECONDS) -> None:
        """Have libvirt look for volumes that came or went behind its back.

        :raises Busy: a volume is being made in the pool, for longer than ``wait_seconds``
        """
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                with translated(f"refresh pool {self.name}"):
                    self._handle.refresh(0)
            except Busy:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_REFRESH_PAUSE_SECONDS)
                continue
            except HypervisorError:
                # A file that another host was just deleting makes libvirt give up, and stop the
                # pool.
                if self.is_active():
                    raise
                self.start()
            return

    def volumes(self) -> List[Volume]:
        """All volumes; none of a pool that is not active."""
        if not self.is_active():
            return []
        with translated(f"list volumes of pool {self.name}"):
            return [Volume(handle) for handle in self._handle.listAllVolumes(0)]

    def find_volume(self, name: str) -> Optional[Volume]:
        """A volume by name."""
        try:
            with translated(f"find volume {name} in pool {self.name}"):
                return Volume(self._handle.storageVolLookupByName(name))
        except NotFound:
            return None

    def create_volume(self, xml: str) -> Volume:
        """Make a volume."""
        with translated(f"create a volume in pool {self.name}"):
            return Volume(self._handle.createXML(xml, 0))

    def copy_volume(self, xml: str, source: Volume) -> Volume:
        """Make a volume with the content of another; returns when it is all there."""
        with translated(f"copy volume {source.name} into pool {self.name}"):
            return Volume(self._handle.createXMLFrom(xml, source._handle, 0))
