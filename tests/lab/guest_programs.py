# SPDX-License-Identifier: Apache-2.0
"""Programs of Debian packages in the tiny guest, with their libraries and what they expect."""

import re
import shutil
from pathlib import Path

from tests.lab.commands import run

#: Two accounts that have no password yet, and PAM as far as chpasswd needs it.
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/:/bin/sh\nadmin:x:1000:1000:admin:/:/bin/sh\n",
    "etc/group": "root:x:0:\nadmin:x:1000:\n",
    "etc/shadow": "root:*:19700:0:99999:7:::\nadmin:*:19700:0:99999:7:::\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\n",
    "etc/login.defs": "ENCRYPT_METHOD SHA512\n",
    "etc/pam.d/chpasswd": "password required pam_unix.so sha512\n",
}
# Opened by name while programs run, so that no program says that it needs them.
_PLUGINS = ("lib/x86_64-linux-gnu/security/pam_unix.so",)
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


def install_programs(
    root: Path, packages: tuple[str, ...], programs: tuple[str, ...], target: Path
) -> None:
    """Install packages into a root filesystem, and copy programs from there into another tree."""
    run(["chroot", str(root), "apt-get", "install", "-qq", "--no-install-recommends", *packages])
    for path in {*programs, *(f"/{plugin}" for plugin in _PLUGINS)}:
        _copy(root, path, target)
        listed = run(["chroot", str(root), "ldd", path]).stdout
        for library in _LIBRARY.findall(listed):
            _copy(root, library, target)
    for name, content in ACCOUNTS.items():
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (target / "etc/shadow").chmod(0o640)


def _copy(root: Path, path: str, target: Path) -> None:
    """Copy a file of the root filesystem; a name that is a link becomes a file."""
    copy = target / path.lstrip("/")
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2((root / path.lstrip("/")).resolve(), copy)
