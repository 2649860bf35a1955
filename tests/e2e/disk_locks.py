# SPDX-License-Identifier: Apache-2.0
"""Which cells may write to guests' disks, asked of the storage server: no cell is needed for it.

QEMU holds a byte of a disk's file locked for as long as it may write there; GlusterFS tells all
locks, and whose they are, in its dump of its own state.
"""

from __future__ import annotations

import re
from collections import defaultdict

from tests.e2e.copies import Places
from tests.lab.cell import Cell
from tests.lab.errors import LabError

#: QEMU's lock for the permission to write.
_WRITE_BYTE = 101
_PATH = re.compile(r"^path=/(.+)$")
_LOCK = re.compile(
    r"^posixlk\.posixlk\[\d+\]\(ACTIVE\)=type=\w+, whence=0, start=(\d+), len=(\d+), "
    r".*-HOST:(.+?)-PC_NAME:"
)
_DUMP = """\
cd /var/run/gluster && rm -f *.dump.*
gluster volume statedump {volume} > /dev/null && cat *.dump.* && rm -f *.dump.*
"""


def writers_in(dump: str) -> dict[str, set[str]]:
    """File, relative to the volume → the hosts that hold the lock of who may write."""
    found: dict[str, set[str]] = defaultdict(set)
    path = ""
    for line in dump.splitlines():
        if named := _PATH.match(line):
            path = named[1]
        elif line.startswith("["):
            path = ""
        elif (lock := _LOCK.match(line)) and path:
            start, length = int(lock[1]), int(lock[2])
            end = start + length if length else _WRITE_BYTE + 1
            if start <= _WRITE_BYTE < end:
                found[path].add(lock[3])
    return dict(found)


def writers_of(server: Cell, volume: str, guest_ids: set[str]) -> Places:
    """Guest's id → the cells that may write to its system disk now, as the server sees it.

    Raises LabError when the server does not tell.
    """
    dump = server.run(["sh", "-c", _DUMP.format(volume=volume)], timeout_seconds=60).stdout
    if "DUMP-END-TIME" not in dump:
        raise LabError(f"the dump of volume {volume} is not whole")
    found = writers_in(dump)
    return {
        guest_id: tuple(sorted(found.get(f"{guest_id}_sys.qcow2", ())))
        for guest_id in sorted(guest_ids)
    }
