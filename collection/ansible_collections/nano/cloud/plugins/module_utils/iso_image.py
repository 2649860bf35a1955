# SPDX-License-Identifier: BSD-2-Clause
"""A small ISO 9660 image with Joliet names: a few files in its root. Pure, and always the same.

Nothing in it depends on the time or on the machine: the same files make the same bytes, so that
two images are compared by comparing them.
"""

from __future__ import annotations

import struct
from typing import Dict, List, Mapping, Tuple

_SECTOR = 2048
_PRIMARY, _JOLIET, _END = 1, 2, 255
_FIRST_DESCRIPTOR = 16
# Path tables of both volumes in both byte orders, then both root directories.
_PATH_TABLES = {_PRIMARY: (19, 20), _JOLIET: (21, 22)}
_ROOTS = {_PRIMARY: 23, _JOLIET: 24}
_FIRST_FILE = 25
_IS_DIRECTORY = 2
# 1 January 2000, 00:00 UTC.
_DATE = bytes([100, 1, 1, 0, 0, 0, 0])
_NO_DATE = b"0" * 16 + b"\0"
# UCS-2, level 3: all of Unicode's first plane.
_JOLIET_MARK = b"%/E"


def build(label: str, files: Mapping[str, bytes]) -> bytes:
    """The image. Names are of letters, digits and ``-``; all of them fit into one sector."""
    places: Dict[str, Tuple[int, int]] = {}
    sector = _FIRST_FILE
    for name in sorted(files):
        places[name] = (sector, len(files[name]))
        sector += -(-len(files[name]) // _SECTOR)
    parts = [bytes(_SECTOR * _FIRST_DESCRIPTOR)]
    parts += [_descriptor(kind, label, sector) for kind in (_PRIMARY, _JOLIET)]
    parts.append(_padded(bytes([_END]) + b"CD001\x01"))
    for kind in (_PRIMARY, _JOLIET):
        parts += [_padded(_path_table(kind, order)) for order in "<>"]
    parts += [_directory(kind, places) for kind in (_PRIMARY, _JOLIET)]
    parts += [_padded(files[name]) for name in sorted(files)]
    return b"".join(parts)


def files_in(image: bytes) -> Dict[str, bytes]:
    """The files in the root of an image with Joliet names; none of anything else."""
    try:
        return _read(image)
    except (struct.error, UnicodeDecodeError, IndexError):
        return {}


def _read(image: bytes) -> Dict[str, bytes]:
    start = (_FIRST_DESCRIPTOR + 1) * _SECTOR
    volume = image[start : start + _SECTOR]
    if volume[:6] != bytes([_JOLIET]) + b"CD001" or volume[88:91] != _JOLIET_MARK:
        return {}
    sector, size = _extent(volume[156:190])
    directory = image[sector * _SECTOR : sector * _SECTOR + size]
    found, position = {}, 0
    while position < len(directory) and directory[position]:
        record = directory[position : position + directory[position]]
        position += directory[position]
        if not record[25] & _IS_DIRECTORY:
            sector, size = _extent(record)
            name = record[33 : 33 + record[32]].decode("utf-16-be")
            found[name] = image[sector * _SECTOR : sector * _SECTOR + size]
    return found


def _extent(record: bytes) -> Tuple[int, int]:
    sector, size = struct.unpack("<I4xI", record[2:14])
    return int(sector), int(size)


def _descriptor(kind: int, label: str, sectors: int) -> bytes:
    tables = _PATH_TABLES[kind]
    table_size = len(_path_table(kind, "<"))
    fields = [
        bytes([kind]) + b"CD001\x01\0",
        _text(kind, "", 32) + _text(kind, label, 32) + bytes(8),
        _both(sectors, "I"),
        (_JOLIET_MARK if kind == _JOLIET else b"").ljust(32, b"\0"),
        _both(1, "H") + _both(1, "H") + _both(_SECTOR, "H") + _both(table_size, "I"),
        struct.pack("<II", tables[0], 0) + struct.pack(">II", tables[1], 0),
        _record(b"\0", _ROOTS[kind], _SECTOR, _IS_DIRECTORY),
        # Volume set, publisher, preparer, application; files with copyright and the like.
        b"".join(_text(kind, "", length) for length in (128, 128, 128, 128, 37, 37, 37)),
        _NO_DATE * 4 + b"\x01\0",
    ]
    return _padded(b"".join(fields))


def _text(kind: int, text: str, length: int) -> bytes:
    """Text filled up with blanks; of an odd field's two-byte blanks the last has half a place."""
    if kind == _JOLIET:
        return text.ljust(length // 2).encode("utf-16-be").ljust(length, b"\0")
    return text.ljust(length).encode("ascii")


def _path_table(kind: int, order: str) -> bytes:
    return struct.pack(f"{order}BBIH", 1, 0, _ROOTS[kind], 1) + b"\0\0"


def _directory(kind: int, places: Mapping[str, Tuple[int, int]]) -> bytes:
    root = _ROOTS[kind]
    records: List[bytes] = [
        _record(name, root, _SECTOR, _IS_DIRECTORY) for name in (b"\0", b"\x01")
    ]
    records += [_record(_name(kind, name), *places[name], 0) for name in sorted(places)]
    return _padded(b"".join(records))


def _name(kind: int, name: str) -> bytes:
    # Systems without Joliet show the plain name in lower case, without its end.
    return name.encode("utf-16-be") if kind == _JOLIET else f"{name.upper()}.;1".encode("ascii")


def _record(name: bytes, sector: int, size: int, flags: int) -> bytes:
    body = b"".join(
        [
            b"\0" + _both(sector, "I") + _both(size, "I") + _DATE,
            bytes([flags, 0, 0]) + _both(1, "H"),
            bytes([len(name)]) + name + (b"" if len(name) % 2 else b"\0"),
        ]
    )
    return bytes([len(body) + 1]) + body


def _both(value: int, size: str) -> bytes:
    """A number in both byte orders, as ISO 9660 has them."""
    return struct.pack(f"<{size}", value) + struct.pack(f">{size}", value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _SECTOR)
