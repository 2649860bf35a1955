# SPDX-License-Identifier: Apache-2.0
"""What a lab could leave behind on this machine: taken before and after, then compared.

For example::

    before = snapshot()
    lab.up(); lab.down()
    assert difference(before, snapshot()) == []
"""

import os
import re
from pathlib import Path

from tests.lab.cell import NSPAWN_RUN_DIRECTORY, container_lock
from tests.lab.commands import process_arguments, process_ids, run
from tests.lab.control_groups import hierarchies
from tests.lab.identity import MARK, SPARE_DIRECTORY
from tests.lab.mounts import mounts
from tests.lab.network import IP_FORWARD, links

Snapshot = dict[str, list[str]]

# What labs and the cloud on them start; other programs of a busy machine come and go.
PROGRAMS = {
    "systemd-nspawn", "systemd", "systemd-journald", "systemd-networkd", "systemd-logind",
    "dbus-daemon", "sshd", "dnsmasq", "libvirtd", "virtlogd", "virtlockd", "virtqemud",
    "nanoctl", "ansible-playbook", "ansible-runner",
}  # fmt: skip


_GROUP_NAMES = ("nano-lab-", "machine", "systemd-nspawn", "libvirt", "qemu")


def snapshot() -> Snapshot:
    """Return what exists now, by kind: links, addresses, routes, mounts, firewall rules,
    control groups, processes, loop devices, files under /run and /var/lib, and forwarding.
    """
    return {
        "link": sorted(links()),
        "route": sorted(run(["ip", "-4", "route", "show", "table", "all"]).stdout.splitlines()),
        "mount": sorted(str(mount.point) for mount in mounts()),
        "firewall rule": sorted(_firewall_rules()),
        "control group": sorted(_control_groups()),
        "process": sorted(_processes()),
        "loop device": sorted(str(path) for path in Path("/sys/block").glob("loop*/loop")),
        "container trace": sorted(str(path) for path in NSPAWN_RUN_DIRECTORY.glob("*/*")),
        "file": sorted(str(path) for path in SPARE_DIRECTORY.glob("*")),
        "network namespace": sorted(str(path) for path in Path("/run/netns").glob("*")),
        "forwarding": [f"net.ipv4.ip_forward = {IP_FORWARD.read_text().strip()}"],
    }


def difference(before: Snapshot, after: Snapshot, *, ignore: list[str] | None = None) -> list[str]:
    """Return one line for each thing that `after` has and `before` has not, or the reverse.

    `ignore` has texts (such as another lab's id) whose lines do not count; a line of a lab
    carries that lab's id, or the first digits of it.
    """
    lines = []
    for kind in sorted({*before, *after}):
        old, new = set(before.get(kind, [])), set(after.get(kind, []))
        lines += [f"{kind} left behind: {item}" for item in sorted(new - old)]
        lines += [f"{kind} is gone: {item}" for item in sorted(old - new)]
    return [line for line in lines if not any(text in line for text in ignore or [])]


def marks_of_other_labs(own_lab_id: str) -> list[str]:
    """Return texts for `ignore` that name the other labs which are up on this machine now.

    Also the paths of their disks, by which mounts and processes of theirs are known.
    """
    texts = []
    for name, link in links().items():
        alias = str(link.get("ifalias", ""))
        if alias.startswith(MARK) and not alias.endswith(own_lab_id):
            texts += [alias.removeprefix(MARK).strip(), name[:-1]]
    for pid in process_ids():
        arguments = process_arguments(pid)
        machine = next((word for word in arguments if word.startswith("--machine=nano-lab-")), "")
        if machine and own_lab_id not in machine:
            option = next(word for word in arguments if word.startswith("--directory="))
            root = Path(option.partition("=")[2])
            texts.append(f"{root.parents[2]}/")
            if root.is_dir():
                texts.append(str(container_lock(root)))
    return sorted(set(texts))


def _firewall_rules() -> list[str]:
    rules = []
    for command in ("iptables", "ip6tables"):
        for table in ("filter", "nat", "mangle"):
            listed = run([command, "-w", "-t", table, "-S"], check=False).stdout.splitlines()
            rules += [f"{command} -t {table} {line}" for line in listed]
    # Looking at a table creates its empty chains, which is nothing left behind.
    return [rule for rule in rules if not re.search(r" -P \S+ ACCEPT$", rule)]


def _control_groups() -> list[str]:
    """Those that a lab, systemd-nspawn, or a libvirt gone astray makes.

    Others come and go on a machine that does more than this.
    """
    found = []
    for root in hierarchies():
        for directory, names, _ in os.walk(root):
            depth = len(Path(directory).relative_to(root).parts)
            found += [
                str(Path(directory) / name) for name in names if name.startswith(_GROUP_NAMES)
            ]
            if depth >= 2:
                names.clear()
    return found


def _processes() -> list[str]:
    found = []
    for pid in process_ids():
        arguments = process_arguments(pid)
        if not arguments:
            continue
        name = Path(arguments[0].rstrip(":")).name
        if name in PROGRAMS or name.startswith("qemu-system-"):
            groups = Path(f"/proc/{pid}/cgroup")
            # The group names the lab even when the command line does not.
            where = groups.read_text().splitlines()[-1] if groups.exists() else ""
            found.append(f"{pid} {' '.join(arguments)[:160]} {where}")
    return found
