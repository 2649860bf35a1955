# SPDX-License-Identifier: Apache-2.0
"""What the API and the cells' daemons hold, read from /proc of the machine under them."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.lab.commands import process_arguments, process_ids
from tests.lab.control_groups import groups_named, processes_in
from tests.lab.lab import Lab

_MIB = 1 << 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MEMORY, DESCRIPTORS, THREADS = "API: memory, MiB", "API: file descriptors", "API: threads"
DATABASE = "API: the database's descriptors"
#: What grows until then, and no further: the database's pool keeps twenty connections, each with
#: the file and its log, and one more descriptor is all of theirs.
_BOUNDS = {DATABASE: 2 * 20 + 1}
SSH, CHILDREN = "API: ssh processes", "API: other processes"


def resources(api_pid: int, data: Path, lab: Lab) -> dict[str, float]:
    """What is held now, by name. ``data``: the API's folder, which its ssh processes name."""
    below = _descendants(api_pid)
    names = {pid: _name(pid) for pid in below}
    # Shared connections of Ansible leave the API's family; their sockets are in its folder.
    ssh = {pid for pid, name in names.items() if name == "ssh"}
    ssh |= {pid for pid in process_ids() if _name(pid) == "ssh" and _names(pid, data)}
    database = _descriptors([api_pid], data / "nano.db")
    found = {
        MEMORY: _memory_mib([api_pid]),
        DESCRIPTORS: _descriptors([api_pid]) - database,
        DATABASE: database,
        THREADS: _threads(api_pid),
        SSH: len(ssh),
        CHILDREN: len([name for name in names.values() if name not in ("ssh", "")]),
    }
    # Of all cells together: guests move between them.
    inside = {
        pid: _name(pid)
        for cell in lab.cells
        for pid in processes_in(groups_named(cell.machine_name))
    }
    libvirt = [pid for pid, name in inside.items() if name == "libvirtd"]
    found["cells: libvirtd's memory, MiB"] = _memory_mib(libvirt)
    found["cells: libvirtd's file descriptors"] = _descriptors(libvirt)
    found["cells: ssh sessions"] = sum(name == "sshd" for name in inside.values())
    found["cells: processes"] = sum(name != "" for name in inside.values())
    return found


def _descendants(pid: int) -> set[int]:
    parents = {each: _parent(each) for each in process_ids()}
    found, newest = set[int](), {pid}
    while newest:
        newest = {each for each, parent in parents.items() if parent in newest} - found
        found |= newest
    return found


def _parent(pid: int) -> int:
    with suppress(OSError):  # it has ended
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _names(pid: int, folder: Path) -> bool:
    return any(str(folder) in word for word in process_arguments(pid))


def _memory_mib(pids: Iterable[int]) -> float:
    pages = 0
    for pid in pids:
        with suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * _PAGE_BYTES / _MIB


def _descriptors(pids: Iterable[int], of: Path | None = None) -> int:
    """``of``: only those of files whose names begin with it."""
    count = 0
    for pid in pids:
        for number in _numbers(pid):
            with suppress(OSError):  # closed meanwhile
                name = "" if of is None else os.readlink(f"/proc/{pid}/fd/{number}")
                count += of is None or name.startswith(str(of))
    return count


def _numbers(pid: int) -> list[str]:
    with suppress(OSError):  # it has ended
        return os.listdir(f"/proc/{pid}/fd")
    return []


def _threads(pid: int) -> int:
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/task"))
    return 0


@dataclass(frozen=True)
class Trend:
    """One figure over time: a straight line through it, and whether that counts as flat."""

    name: str
    first: float
    last: float
    least: float
    most: float
    per_hour: float
    flat: bool

    @classmethod
    def of(cls, name: str, points: list[tuple[float, float]]) -> Trend:
        """``points``: (seconds, figure).

        What it has grown by on the line is at most 5 % and 3, or ends within its bound.
        """
        at = [point[0] for point in points]
        values = [point[1] for point in points]
        slope, begin = statistics.linear_regression(at, values)
        first, last = begin + slope * at[0], begin + slope * at[-1]
        limit = max(first + 3 + 0.05 * statistics.mean(values), _BOUNDS.get(name, 0))
        return cls(name, first, last, min(values), max(values), slope * 3600, last <= limit)

    def __str__(self) -> str:
        return (
            f"{self.name:<34}{self.first:9.1f}{self.last:9.1f}{self.least:9.1f}{self.most:9.1f}"
            f"{self.per_hour:+10.1f}  {'flat' if self.flat else 'GROWS'}"
        )


HEADING = f"{'':<34}{'first':>9}{'last':>9}{'least':>9}{'most':>9}{'per hour':>10}"
