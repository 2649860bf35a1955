# SPDX-License-Identifier: Apache-2.0
"""A control group of its own for each cell, in every hierarchy of this machine.

The kernel shows a cell this group as the root, so cells cannot disturb each other's or the
host's; and everything that runs in a cell is found, and killed, by its group.
"""

import os
import shlex
import signal
from pathlib import Path

from tests.lab.commands import kill_processes, run, wait_until
from tests.lab.errors import LabError
from tests.lab.mounts import mounts


def host_has_systemd() -> bool:
    """Tell whether systemd runs this machine (then it also owns the control groups)."""
    return Path("/run/systemd/system").is_dir()


def hierarchies() -> list[Path]:
    """Return the mount points of every control group hierarchy, of version 1 and 2."""
    return [mount.point for mount in mounts() if mount.filesystem in ("cgroup", "cgroup2")]


def groups_named(prefix: str) -> list[Path]:
    """Return the groups whose name starts with `prefix`, wherever they are.

    Ours stand at the top, or under systemd's slices where systemd runs the machine.
    """
    found = []
    for root in hierarchies():
        for pattern in (f"{prefix}*", f"*.slice/{prefix}*"):
            found += [path for path in root.glob(pattern) if path.is_dir()]
    return found


def processes_in(groups: list[Path]) -> set[int]:
    """Return the ids of all processes in these groups and the groups below them."""
    pids: set[int] = set()
    for group in groups:
        for directory, _, _ in os.walk(group):
            try:
                text = (Path(directory) / "cgroup.procs").read_text()
            except (FileNotFoundError, OSError):
                # Gone between the listing and the reading, or a threaded group, whose
                # processes its parent lists.
                continue
            pids.update(int(line) for line in text.split() if line != "0")
    return pids


def kill_groups(groups: list[Path], timeout_seconds: float = 20) -> None:
    """Kill everything in these groups at once and wait until nothing is left of it."""

    def ended() -> bool:
        left = processes_in(groups)
        kill_processes(left, signal.SIGKILL)
        return not left

    if not wait_until(ended, timeout_seconds):
        raise LabError(f"Processes {sorted(processes_in(groups))} of the lab do not die.")


def remove_groups(groups: list[Path]) -> None:
    """Remove emptied groups with everything below them."""
    for group in groups:
        for directory, _, _ in os.walk(group, topdown=False):

            def removed(path: str = directory) -> bool:
                try:
                    os.rmdir(path)
                except FileNotFoundError:
                    return True
                except OSError:
                    # A process that was just killed still counts for a moment.
                    return False
                return True

            if not wait_until(removed, 5):
                raise LabError(f"The control group {directory} cannot be removed.")


def start_in_group(name: str, argv: list[str]) -> list[str]:
    """Return the command that runs `argv` in a control group called `name`.

    Where systemd runs the machine it is asked for a scope with delegation; elsewhere a shell
    makes the groups and steps into them before it becomes the command.
    """
    if host_has_systemd():
        return [
            "systemd-run", "--scope", "--quiet", "--collect", "--property=Delegate=yes",
            f"--unit={name}", "--", *argv,
        ]  # fmt: skip
    steps = ["set -e"]
    for root in hierarchies():
        group = root / name
        quoted = shlex.quote(str(group))
        steps.append(f"mkdir -p {quoted}")
        for file in ("cpuset.cpus", "cpuset.mems"):
            # A new cpuset of version 1 is empty and would take no process.
            if (root / file).exists() and not (root / "cgroup.controllers").exists():
                steps.append(f"cat {shlex.quote(str(root / file))} > {quoted}/{file}")
        steps.append(f"echo $$ > {quoted}/cgroup.procs")
    return ["/bin/sh", "-c", "\n".join(steps) + '\nexec "$@"', "sh", *argv]


def forget_scope(name: str) -> None:
    """Drop systemd's record of a scope, so that the next of that name can start."""
    if host_has_systemd():
        run(["systemctl", "stop", f"{name}.scope"], check=False)
        run(["systemctl", "reset-failed", f"{name}.scope"], check=False)
