# SPDX-License-Identifier: BSD-2-Clause
"""Keeps guests protected while libvirt rebuilds its network filters.

Each time that libvirt applies a filter of any guest (a policy changes, a guest starts), it takes
its jumps out of the chains FORWARD and INPUT and puts them back some twenty milliseconds later;
what arrives in between passes unfiltered. Rules of our own beside them, with a comment so that
libvirt does not take them for its own, lead to the same chains all the time.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import Sequence, Tuple

from .errors import HypervisorError

#: (the kernel's chain, libvirt's), in the order in which a packet has to meet them.
_JUMPS: Tuple[Tuple[str, str], ...] = (
    ("FORWARD", "libvirt-in"),
    ("FORWARD", "libvirt-out"),
    ("FORWARD", "libvirt-in-post"),
    ("INPUT", "libvirt-host-in"),
)
_MARK = ("-m", "comment", "--comment", "nano-cloud: while libvirt rebuilds its filters")


def ensure_guard() -> None:
    """Have the rules where there is iptables, before libvirt filters anything.

    :raises HypervisorError: iptables refused
    """
    for program in ("iptables", "ip6tables"):
        path = shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin")
        if path is None:
            continue  # libvirt filters by other means here.
        for kernel_chain, chain in _JUMPS:
            if _call(path, "-S", chain).returncode:
                _must(path, "-N", chain)  # libvirt will find it there when it filters first.
            rule = [kernel_chain, *_MARK, "-j", chain]
            if _call(path, "-C", *rule).returncode:
                _must(path, "-A", *rule)


def _must(path: str, *arguments: str) -> None:
    done = _call(path, *arguments)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()[-200:]
        raise HypervisorError(f"cannot guard libvirt's network filters: {path}: {reason}")


def _call(path: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command: Sequence[str] = [path, "-w", "10", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
