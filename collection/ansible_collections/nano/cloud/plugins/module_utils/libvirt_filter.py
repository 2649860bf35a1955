# SPDX-License-Identifier: BSD-2-Clause
"""libvirt's network filters, with typed calls."""

from __future__ import annotations

from typing import Any, Optional

from .errors import NotFound
from .libvirt_binding import translated


class NetworkFilter:
    """A network filter as libvirt has it."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.name = str(handle.name())

    def xml(self) -> str:
        """The filter's XML."""
        with translated(f"read network filter {self.name}"):
            return str(self._handle.XMLDesc(0))

    def undefine(self) -> None:
        """Forget it."""
        with translated(f"remove network filter {self.name}"):
            self._handle.undefine()


def find_filter(connection: Any, name: str) -> Optional[NetworkFilter]:
    """A network filter by name."""
    try:
        with translated(f"find network filter {name}"):
            return NetworkFilter(connection.nwfilterLookupByName(name))
    except NotFound:
        return None


def define_filter(connection: Any, xml: str) -> NetworkFilter:
    """Define a filter; one of the same id is replaced, also where it protects running guests."""
    with translated("define the network filter"):
        return NetworkFilter(connection.nwfilterDefineXML(xml))
