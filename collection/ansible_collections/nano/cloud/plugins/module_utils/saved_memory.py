# SPDX-License-Identifier: BSD-2-Clause
"""The head of a file in which libvirt has saved a guest's memory: the name that it was saved by.

libvirt restores a memory only to a guest of the same name, and offers no way to change the name in
the file; so it is changed here, within the room that libvirt leaves after the definition.
"""

from __future__ import annotations

import os
import re
import struct
from xml.sax.saxutils import escape

from .errors import Unsupported

_MAGIC = b"LibvirtQemudSave"
# magic, version, bytes of data, was running, compression, offset of libvirt's own notes
_HEADER = struct.Struct("=16s5I")
_RESERVED_BYTES = 14 * 4
_VERSION = 2
_NAME = re.compile(rb"(<domain\b[^>]*>\s*<name>)([^<]*)(</name>)")


def rename_saved(path: str, name: str) -> None:
    """Make the file one of a guest of that name; nothing happens when it is one already.

    :raises Unsupported: the file is not as we know such files, or has no room for the name.
    """
    with open(path, "r+b", buffering=0) as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            raise _unknown(path)
        magic, version, size, running, compression, notes = _HEADER.unpack(head)
        if magic != _MAGIC or version != _VERSION or notes > size:
            raise _unknown(path)
        start = _HEADER.size + _RESERVED_BYTES
        file.seek(start)
        data = file.read(size)
        end = notes or size
        definition, rest = data[:end].rstrip(b"\0"), data[end:].rstrip(b"\0")
        match = _NAME.search(definition)
        if match is None or len(data) != size:
            raise _unknown(path)
        new_name = escape(name).encode()
        if match[2] == new_name:
            return
        renamed = definition[: match.start(2)] + new_name + definition[match.end(2) :] + b"\0"
        new = renamed + rest + (b"\0" if rest else b"")
        if len(new) > size:
            raise Unsupported(
                f"the saved memory {path} has no room for the name {name}: rename the guest to "
                "a shorter one first",
                path=path,
            )
        offset = len(renamed) if notes else 0
        packed = _HEADER.pack(magic, version, size, running, compression, offset)
        file.seek(_HEADER.size)
        reserved = file.read(_RESERVED_BYTES)
        # One write: whoever is killed has written all of it or nothing.
        os.pwrite(file.fileno(), packed + reserved + new.ljust(size, b"\0"), 0)
        os.fsync(file.fileno())


def _unknown(path: str) -> Unsupported:
    return Unsupported(f"the saved memory {path} has a form that is not known", path=path)
