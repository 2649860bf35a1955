# SPDX-License-Identifier: Apache-2.0
"""Whose locks are read from a storage server's dump."""

from __future__ import annotations

from tests.e2e.disk_locks import writers_in

LOCK = (
    "posixlk.posixlk[{number}]({state})=type=READ, whence=0, start={start}, len={length}, "
    "pid = 3455, owner=5ac23e83649dd106, client=0x7fee3004f428, connection-id=CTX_ID:4defdb6e-"
    "d5b0-4f93-87fe-b750c85c0486-GRAPH_ID:0-PID:3436-HOST:{host}-PC_NAME:guests-client-0-"
    "RECON_NO:-0, granted at 2026-11-26 07:18:59 +0000"
)


def lock(number: int, host: str, start: int, length: int = 1, state: str = "ACTIVE") -> str:
    return LOCK.format(number=number, host=host, start=start, length=length, state=state)


def test_only_held_locks_of_writers_count() -> None:
    dump = "\n".join(
        [
            "[xlator.features.locks.guests-locks.inode]",
            "path=/one_sys.qcow2",
            "posixlk-count=4",
            lock(0, "cell1", 101),
            lock(1, "cell-2", 0, 0),
            lock(2, "cell3", 100),
            lock(3, "cell4", 101, state="BLOCKED"),
            "",
            "[xlator.features.locks.guests-locks.inode]",
            "path=/read_sys.qcow2",
            lock(0, "cell1", 100),
            lock(1, "cell1", 203),
            "[conn.1.bound_xl.guests.active.9]",
            lock(0, "cell1", 101),
        ]
    )
    assert writers_in(dump) == {"one_sys.qcow2": {"cell1", "cell-2"}}
