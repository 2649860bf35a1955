# SPDX-License-Identifier: BSD-2-Clause
"""A guest's files outside all pools: UEFI variables, TPM state, serial log. All named by its id."""

from __future__ import annotations

import contextlib
import glob
import os
import shlex
import shutil
import subprocess
from typing import List, Sequence

from . import disk_record, names
from .errors import Unreachable

_SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")


def possible_paths(guest_id: str) -> List[str]:
    """Where a guest has its variables, with each kind of firmware, and its TPM's state."""
    variables = [names.nvram_path(guest_id, secure_boot) for secure_boot in (False, True)]
    return [*variables, names.tpm_state_path(guest_id)]


def state_paths(guest_id: str) -> List[str]:
    """Those that there are, also of firmware and a TPM that the guest had before."""
    return [path for path in possible_paths(guest_id) if os.path.exists(path)]


def remove_files(guest_id: str) -> None:
    """Remove all of them: libvirt removes only those of the last definition."""
    for path in glob.glob(glob.escape(names.serial_log_path(guest_id)) + "*"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    disk_record.forget_all(guest_id)
    for path in state_paths(guest_id):
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def send_files(target: str, paths: Sequence[str]) -> None:
    """Copy files and directories to the same places of another host, as its root, with owners.

    :raises Unreachable: it did not work; some of them may be there
    """
    if not paths:
        return
    relative = [names.check_absolute_path(path).lstrip("/") for path in paths]
    pack = ["tar", "-C", "/", "-c", "--", *relative]
    unpack = [*_SSH, f"root@{target}", "tar -C / -x"]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packing:
        done = subprocess.run(unpack, stdin=packing.stdout, capture_output=True, check=False)
    if done.returncode or packing.returncode:
        reason = done.stderr.decode(errors="replace").strip()[-200:]
        raise Unreachable(f"cannot copy {' and '.join(paths)} to {target}: {reason}")


def remove_files_there(target: str, paths: Sequence[str]) -> None:
    """Take back what was sent to another host."""
    if paths:
        command = shlex.join(["rm", "-rf", "--", *paths])
        subprocess.run([*_SSH, f"root@{target}", command], capture_output=True, check=False)
