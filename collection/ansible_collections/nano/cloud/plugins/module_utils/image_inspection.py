# SPDX-License-Identifier: BSD-2-Clause
"""Whether an image file is what it was declared to be, before anything trusts it.

QEMU's own ``qemu-img info`` reads the file: told the format, as an unprivileged user, with limits
on memory, time and output. The file is handed over as an open descriptor, so the directories above
it stay closed to that user; the file itself must be readable for everybody (mode 0644).
"""

from __future__ import annotations

import json
import os
import pwd
import resource
import shutil
import subprocess
from typing import Any, BinaryIO, Callable, Dict

from .constants import GIB
from .errors import UnsafeImage, Unsupported

_TIMEOUT_SECONDS = 30
_CPU_SECONDS = 20
_ADDRESS_SPACE_BYTES = GIB
_UNPRIVILEGED_USER = "nobody"

# Enough to tell a user that he declared the wrong format; QEMU is never asked to guess.
_SIGNATURES = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vhd"),
    (64, b"\x7f\x10\xda\xbe", "vdi"),
    (0, b"QED\x00", "qed"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"(\xb5/\xfd", "zstd"),
)
_ISO_SIGNATURE_OFFSET, _ISO_SIGNATURE = 32769, b"CD001"
_QCOW2_FEATURES_OFFSET, _QCOW2_EXTERNAL_DATA = 72, 1 << 2


def inspect_image(path: str, image_format: str) -> int:
    """Check a file that was declared as qcow2, raw or iso; returns its virtual size in bytes.

    :raises UnsafeImage: it is something else, broken, or reaches for other files.
    :raises Unsupported: qemu-img is not installed.
    """
    with open(path, "rb") as file:
        _check_signature(file, image_format)
        report = _qemu_img_info(file, "qcow2" if image_format == "qcow2" else "raw")
    for key in ("backing-filename", "full-backing-filename"):
        if report.get(key):
            raise UnsafeImage(
                f"the image needs a backing file ({str(report[key])[:200]}): flatten it first, "
                "for example with qemu-img convert"
            )
    details = report.get("format-specific", {}).get("data", {})
    if details.get("data-file"):
        raise _external_data()
    if report.get("encrypted"):
        raise UnsafeImage("the image is encrypted: decrypt it first")
    if details.get("corrupt"):
        raise UnsafeImage("the image is marked corrupt: repair it with qemu-img check -r")
    return int(report["virtual-size"])


def _external_data() -> UnsafeImage:
    return UnsafeImage(
        "the image keeps its data in another file: convert it to one file with qemu-img convert"
    )


def _check_signature(file: BinaryIO, image_format: str) -> None:
    head = file.read(_ISO_SIGNATURE_OFFSET + len(_ISO_SIGNATURE))
    found = next((name for at, magic, name in _SIGNATURES if head[at:].startswith(magic)), "raw")
    if found == "raw" and head[_ISO_SIGNATURE_OFFSET:] == _ISO_SIGNATURE:
        found = "iso"
    if found == "qcow2" and image_format == "qcow2":
        version = int.from_bytes(head[4:8], "big")
        features = head[_QCOW2_FEATURES_OFFSET : _QCOW2_FEATURES_OFFSET + 8]
        # Told by the header, before QEMU would open that other file.
        if version >= 3 and int.from_bytes(features, "big") & _QCOW2_EXTERNAL_DATA:
            raise _external_data()
    # A bootable ISO is a fine raw disk as well.
    if found != image_format and not (found == "iso" and image_format == "raw"):
        raise UnsafeImage(
            f"the image was declared as {image_format} but the file is {found}: "
            "declare it as what it is, or convert it",
            declared=image_format,
            found=found,
        )


def _qemu_img_info(file: BinaryIO, image_format: str) -> Dict[str, Any]:
    program = shutil.which("qemu-img", path="/usr/bin:/usr/local/bin:/bin")
    if program is None:
        raise Unsupported("qemu-img is missing on this host: install qemu-utils or qemu-img")
    command = [program, "info", "--output=json", "-f", image_format, f"/dev/fd/{file.fileno()}"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            pass_fds=[file.fileno()],
            cwd="/",
            env={"LC_ALL": "C"},
            preexec_fn=_confine(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnsafeImage(
            f"qemu-img did not finish reading the image within {_TIMEOUT_SECONDS} s"
        ) from None
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip()[-300:] or f"exit {done.returncode}"
        raise UnsafeImage(f"qemu-img cannot read the image as {image_format}: {reason}")
    report = json.loads(done.stdout)
    if not isinstance(report, dict):
        raise UnsafeImage("qemu-img gave no report about the image")
    return report


def _confine() -> Callable[[], None]:
    """What the child does to itself before it becomes qemu-img."""
    nobody = pwd.getpwnam(_UNPRIVILEGED_USER) if os.geteuid() == 0 else None

    def confine() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if nobody is not None:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)

    return confine
