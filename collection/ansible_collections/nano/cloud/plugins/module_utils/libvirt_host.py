# SPDX-License-Identifier: BSD-2-Clause
"""A connection to libvirt, with typed calls. "Not there" is None from every ``find_*``."""

from __future__ import annotations

import os
import urllib.parse
from typing import Any, Dict, List, Optional, Tuple

from .errors import NotFound
from .host_capabilities import HostCapabilities, cpu_can_virtualise, parse_capabilities
from .libvirt_binding import flags, open_connection, translated
from .libvirt_domain import Domain, statistics_flags
from .libvirt_filter import NetworkFilter, define_filter, find_filter
from .libvirt_storage import Pool


class LibvirtHost:
    """A connection. Use as a context manager."""

    def __init__(self, handle: Any, uri: str) -> None:
        self._handle = handle
        self.uri = uri

    @classmethod
    def open(cls, uri: str, read_only: bool = False) -> LibvirtHost:
        """Connect.

        :raises Unsupported: libvirt's Python binding is missing; names the package.
        :raises Unreachable: nobody answers at the URI.
        """
        return cls(open_connection(uri, read_only), uri)

    def __enter__(self) -> LibvirtHost:
        return self

    def __exit__(self, *_error: object) -> None:
        with translated("close the connection"):
            self._handle.close()

    @property
    def is_local_hypervisor(self) -> bool:
        """Whether paths that libvirt names are paths of this machine."""
        parts = urllib.parse.urlsplit(self.uri)
        return parts.scheme == "qemu" and not parts.netloc

    def capabilities(self) -> HostCapabilities:
        """Architecture and domain types that really work."""
        with translated("read the host's capabilities"):
            xml = str(self._handle.getCapabilities())
        return parse_capabilities(xml, self._kvm_works())

    def _kvm_works(self) -> bool:
        if not self.is_local_hypervisor:
            return True  # Only libvirt's own word is to be had from afar.
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            capable = cpu_can_virtualise(os.uname().machine, file.read())
        return capable and os.path.exists("/dev/kvm")

    def versions(self) -> Tuple[str, str]:
        """(libvirt's, the hypervisor's) version, each as ``major.minor.release``."""
        with translated("read versions"):
            numbers = (self._handle.getLibVersion(), self._handle.getVersion())
        first, second = (f"{n // 1000000}.{n // 1000 % 1000}.{n % 1000}" for n in numbers)
        return first, second

    def hostname(self) -> str:
        """The host's name."""
        with translated("read the host's name"):
            return str(self._handle.getHostname())

    def cores_and_memory(self) -> Tuple[int, int]:
        """(processors, memory in bytes)."""
        with translated("read the host's size"):
            info = self._handle.getInfo()
        return int(info[2]), int(info[1]) * 1024 * 1024

    def memory_statistics(self) -> Dict[str, int]:
        """``total``, ``free``, ``buffers``, ``cached`` in bytes."""
        with translated("read the host's memory"):
            found = self._handle.getMemoryStats(-1, 0)
        return {str(name): int(kibibytes) * 1024 for name, kibibytes in found.items()}

    def cpu_statistics(self) -> Dict[str, int]:
        """``kernel``, ``user``, ``idle``, ``iowait`` since boot in nanoseconds."""
        with translated("read the host's processor times"):
            found = self._handle.getCPUStats(-1, 0)
        return {str(name): int(value) for name, value in found.items()}

    def domains(self) -> List[Domain]:
        """All domains, running or not."""
        with translated("list guests"):
            return [Domain(handle) for handle in self._handle.listAllDomains(0)]

    def domain_statistics(self) -> Dict[str, Dict[str, Any]]:
        """libvirt's own figures of all guests by id, as ``statistics.parse`` takes them."""
        with translated("read the figures of the guests"):
            found = self._handle.getAllDomainStats(*statistics_flags())
            return {str(handle.UUIDString()): dict(figures) for handle, figures in found}

    def find_domain(self, guest_id: Optional[str], name: Optional[str]) -> Optional[Domain]:
        """A domain by id, or by name when no id is given."""
        try:
            with translated(f"find guest {guest_id or name}"):
                if guest_id is not None:
                    return Domain(self._handle.lookupByUUIDString(guest_id))
                return Domain(self._handle.lookupByName(name))
        except NotFound:
            return None

    def define_domain(self, xml: str) -> Domain:
        """Define a domain, or redefine the one of the same id."""
        with translated("define the guest"):
            return Domain(self._handle.defineXML(xml))

    def start_once(self, xml: str) -> None:
        """Start a guest for one run with a definition of its own; the one it has stays."""
        with translated("start the guest"):
            self._handle.createXML(xml, 0)

    def saved_xml(self, path: str) -> str:
        """The definition in a file with a guest's memory, with passwords."""
        with translated(f"read the saved memory {path}"):
            wanted = flags("DOMAIN_SAVE_IMAGE_XML_SECURE")
            return str(self._handle.saveImageGetXMLDesc(path, wanted))

    def restore_saved(self, path: str, xml: str) -> None:
        """Let a guest go on from a file with its memory, with devices as in ``xml``."""
        with translated(f"restore the saved memory {path}"):
            self._handle.restoreFlags(path, xml, flags("DOMAIN_SAVE_RUNNING"))

    def pools(self) -> List[Pool]:
        """All storage pools."""
        with translated("list storage pools"):
            return [Pool(handle) for handle in self._handle.listAllStoragePools(0)]

    def find_pool(self, name: str) -> Optional[Pool]:
        """A storage pool by name."""
        try:
            with translated(f"find pool {name}"):
                return Pool(self._handle.storagePoolLookupByName(name))
        except NotFound:
            return None

    def place_of(self, path: str) -> Optional[Tuple[str, str]]:
        """(pool, volume) of a file that is a volume of an active pool; None of any other."""
        try:
            with translated(f"find the volume of {path}"):
                volume = self._handle.storageVolLookupByPath(path)
                return str(volume.storagePoolLookupByVolume().name()), str(volume.name())
        except NotFound:
            return None

    def has_filter(self, name: str) -> bool:
        """Whether there is a network filter of that name."""
        return self.find_filter(name) is not None

    def find_filter(self, name: str) -> Optional[NetworkFilter]:
        """A network filter by name."""
        return find_filter(self._handle, name)

    def define_filter(self, xml: str) -> NetworkFilter:
        """Define a filter, or replace the one of the same id under guests that run."""
        return define_filter(self._handle, xml)

    def new_stream(self) -> Any:
        """libvirt's own stream object, for moving a volume's content."""
        with translated("open a stream"):
            return self._handle.newStream(0)

    def define_pool(self, xml: str) -> Pool:
        """Define a storage pool."""
        with translated("define the storage pool"):
            return Pool(self._handle.storagePoolDefineXML(xml, 0))
