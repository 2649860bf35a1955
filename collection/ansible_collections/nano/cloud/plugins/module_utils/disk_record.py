# SPDX-License-Identifier: BSD-2-Clause
"""What was last made of a disk's file, true only while nobody has written to the file since.

So a second run knows that it has nothing to do. A record that is lost costs one run.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
from typing import Any, Dict

from .object_lock import lock_directory


def _directory() -> str:
    if os.geteuid() == 0:
        return "/var/lib/nano-cloud/disks"
    return os.path.join(lock_directory(), "disks")


def _path(volume: str) -> str:
    return os.path.join(_directory(), f"{volume}.json")


def remember(volume: str, file: str, made: str) -> None:
    """Write down what the file is now."""
    os.makedirs(_directory(), mode=0o700, exist_ok=True)
    with open(_path(volume), "w", encoding="utf-8") as record:
        json.dump({"made": made, **_identity(file)}, record)


def is_untouched(volume: str, file: str, made: str) -> bool:
    """Whether the file is still what was made of it then."""
    try:
        with open(_path(volume), encoding="utf-8") as record:
            return bool(json.load(record) == {"made": made, **_identity(file)})
    except (FileNotFoundError, ValueError):
        return False


def forget_all(guest_id: str) -> None:
    """Drop what is known of a guest's disks."""
    for path in glob.glob(os.path.join(glob.escape(_directory()), f"{guest_id}_*.json")):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _identity(file: str) -> Dict[str, Any]:
    found = os.stat(file)
    return {"inode": found.st_ino, "size": found.st_size, "modified_ns": found.st_mtime_ns}
