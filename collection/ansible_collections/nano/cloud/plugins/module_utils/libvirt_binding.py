# SPDX-License-Identifier: BSD-2-Clause
"""The only importer of libvirt: the import's guard, flags, and errors in our own words."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from typing import Any, Iterator, Type

from .errors import (
    Busy,
    CloudError,
    HypervisorError,
    NoSpace,
    NotFound,
    Unreachable,
    Unsupported,
)

try:
    import libvirt

    IMPORT_ERROR = ""
except ImportError as missing:
    libvirt = None
    IMPORT_ERROR = str(missing)

#: QEMU's words when a process, here or on another host, has the file of a disk in use, and
#: libvirt's when a volume is just being made in a pool: it has one code for all of that.
_IN_USE = re.compile(r'Failed to get (shared )?"[a-z ]+" lock|has asynchronous jobs running')
# libvirt has no code of its own for it: mostly it hands on what a program printed.
_FULL = os.strerror(errno.ENOSPC)


def open_connection(uri: str, read_only: bool) -> Any:
    """libvirt's own connection object.

    :raises Unsupported: the binding is missing; names the package.
    :raises Unreachable: nobody answers at the URI.
    """
    if libvirt is None:
        raise Unsupported(
            "Python's libvirt binding is missing on this host: install python3-libvirt "
            f"(Debian, Ubuntu, RHEL, SUSE) for the Python that runs modules ({IMPORT_ERROR})"
        )
    # Without a handler libvirt prints every error on stderr beside raising it.
    libvirt.registerErrorHandler(_ignore_print, None)
    try:
        return libvirt.openReadOnly(uri) if read_only else libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise Unreachable(
            f"libvirt does not answer at {uri}: {error.get_error_message()}; "
            "is libvirtd running, and may this user use it?",
            uri=uri,
        ) from error


def flags(*names: str) -> int:
    """libvirt constants by their names without ``VIR_``, or-ed together."""
    value = 0
    for name in names:
        value |= int(getattr(libvirt, f"VIR_{name}"))
    return value


def is_error(error: CloudError, *names: str) -> bool:
    """Whether libvirt's own error code behind ``error`` is one of ``VIR_ERR_<name>``."""
    return error.context.get("libvirt_code") in {flags(f"ERR_{name}") for name in names}


@contextlib.contextmanager
def translated(action: str) -> Iterator[None]:
    """libvirt's exception → ours; ``action`` completes "cannot …"."""
    try:
        yield
    except libvirt.libvirtError as error:
        code, text = error.get_error_code(), error.get_error_message() or str(error)
        told = f"cannot {action}: {text}"
        if _FULL in text:
            raise NoSpace(f"{told}: free some space", libvirt_code=code) from error
        raise _error_class(code, text)(told, libvirt_code=code) from error


def _error_class(code: int, text: str) -> Type[CloudError]:
    if _IN_USE.search(text):
        return Busy
    if code in _codes("NO_DOMAIN", "NO_STORAGE_POOL", "NO_STORAGE_VOL", "NO_NWFILTER"):
        return NotFound
    if code in _codes("NO_SUPPORT", "OPERATION_UNSUPPORTED", "CONFIG_UNSUPPORTED"):
        return Unsupported
    if code in _codes("NO_CONNECT", "AUTH_FAILED", "RPC", "INVALID_CONN"):
        return Unreachable
    return HypervisorError


def _codes(*names: str) -> set[int]:
    return {flags(f"ERR_{name}") for name in names}


def _ignore_print(_context: object, _error: object) -> None:
    """libvirt wants a handler; the exception says it all."""
