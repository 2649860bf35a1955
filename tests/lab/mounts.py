# SPDX-License-Identifier: Apache-2.0
"""What is mounted on this machine, and overlay mounts for the cells' disks."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.lab.commands import run, wait_until
from tests.lab.errors import LabError


@dataclass(frozen=True)
class Mount:
    """One line of the kernel's table; `options` are those of the filesystem itself."""

    point: Path
    filesystem: str
    options: str


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def mounts() -> list[Mount]:
    """Return this process's mounts, oldest first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        filesystem, _source, options = after.split(" ", 2)
        found.append(Mount(Path(_unescaped(before.split()[4])), filesystem, _unescaped(options)))
    return found


def is_mounted(point: Path) -> bool:
    return any(mount.point == point for mount in mounts())


def _unmounted(point: Path) -> bool:
    return run(["umount", str(point)], check=False).returncode == 0 or not is_mounted(point)


def unmount_below(directory: Path) -> list[Path]:
    """Unmount everything at or below a directory, the newest first.

    Returns the mount points that would not go within a few seconds: a container that was just
    killed holds its root for a moment.
    """
    # The table has real paths, a checkout may be reached through a symbolic link.
    directory = directory.resolve()
    for mount in reversed(mounts()):
        if mount.point == directory or directory in mount.point.parents:
            wait_until(lambda point=mount.point: _unmounted(point), 5)  # type: ignore[misc]
    return [
        mount.point
        for mount in mounts()
        if mount.point == directory or directory in mount.point.parents
    ]


def mount_overlay(lower: Path, upper: Path, work: Path, point: Path) -> None:
    """Mount a writable layer over a read-only tree. Raises LabError when the kernel refuses."""
    for directory in (upper, work, point):
        directory.mkdir(parents=True, exist_ok=True)
        if re.search(r"[,:\\]", str(directory)):
            raise LabError(f"The path {directory} may not have a comma, colon or backslash in it.")
    upper.chmod(0o755)
    # A cell's disk is not worth a flush; without this the packages' flushes take most of the
    # time of an onboarding. The kernel refuses a volatile layer that was not unmounted (a power
    # cut of this machine), for which removing its mark is the documented answer.
    mark = work / "work" / "incompat" / "volatile"
    if mark.is_dir():
        mark.rmdir()
    layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
    refusal = ""
    for options in (f"{layers},volatile", layers):
        mounted = run(["mount", "-t", "overlay", "overlay", "-o", options, str(point)], check=False)
        if mounted.returncode == 0:
            return
        refusal = mounted.stderr.strip()
    raise LabError(f"No overlay filesystem can be mounted on {point}: {refusal}")
