# SPDX-License-Identifier: GPL-3.0-or-later
"""The name in a file with a guest's memory."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ansible_collections.nano.cloud.plugins.module_utils.errors import Unsupported
from ansible_collections.nano.cloud.plugins.module_utils.saved_memory import rename_saved

XML = b"<domain type='qemu'>\n  <name>admin.web1</name>\n  <title>admin.web1</title></domain>\0"
NOTES = b"<cookie/>\0"
MEMORY = b"memory" * 100


def saved(folder: Path, room: int = 200, notes: bytes = NOTES, version: int = 2) -> Path:
    size = len(XML) + len(notes) + room
    offset = len(XML) if notes else 0
    header = struct.pack("=16s5I56x", b"LibvirtQemudSave", version, size, 1, 0, offset)
    path = folder / "memory.save"
    path.write_bytes(header + (XML + notes).ljust(size, b"\0") + MEMORY)
    return path


def parts(path: Path) -> tuple[bytes, bytes, bytes]:
    data = path.read_bytes()
    _magic, _version, size, _running, _compression, offset = struct.unpack("=16s5I", data[:36])
    texts, rest = data[92 : 92 + size], data[92 + size :]
    return texts.split(b"\0")[0], texts[offset:].rstrip(b"\0") if offset else b"", rest


@pytest.mark.parametrize("name", ["admin.web1", "b", "a-much-longer-name.of-a-guest"])
@pytest.mark.parametrize("notes", [NOTES, b""])
def test_only_the_name_changes(tmp_path: Path, name: str, notes: bytes) -> None:
    path = saved(tmp_path, notes=notes)
    rename_saved(str(path), name)
    rename_saved(str(path), name)
    wanted = XML.replace(b"<name>admin.web1", b"<name>" + name.encode(), 1).rstrip(b"\0")
    assert parts(path) == (wanted, notes.rstrip(b"\0"), MEMORY)


def test_what_cannot_be_changed_stays(tmp_path: Path) -> None:
    path = saved(tmp_path, room=3)
    before = path.read_bytes()
    with pytest.raises(Unsupported, match="no room"):
        rename_saved(str(path), "a-longer-name-x")
    assert path.read_bytes() == before
    with pytest.raises(Unsupported, match="not known"):
        rename_saved(str(saved(tmp_path, version=3)), "b")
    path.write_bytes(b"short")
    with pytest.raises(Unsupported, match="not known"):
        rename_saved(str(path), "b")
