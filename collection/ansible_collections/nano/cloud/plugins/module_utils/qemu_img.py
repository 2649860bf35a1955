# SPDX-License-Identifier: BSD-2-Clause
"""qemu-img on the qcow2 layers of a guest's disks: read, copy, rebase, relink, commit.

Every call names the format: what is in a disk is the guest's to write, and is never guessed from.
Layers that a running guest reads from may be read here too; QEMU's own locks keep the rest apart.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from typing import IO, Any, Callable, Dict, Iterator, Mapping, Optional, Sequence

from .errors import Busy, CloudError, Unsupported

_PR_SET_PDEATHSIG = 1
# magic, version, backing offset and length, cluster bits, size, encryption, and of the first
# table the number of entries and the offset
_HEADER = struct.Struct(">4sIQIIQIIQ")
_L1_ENTRIES, _L1_OFFSET = 7, 8
_MAGIC = b"QFI\xfb"
_PERCENT = re.compile(rb"\((\d+)\.\d+/100%\)")


@dataclass(frozen=True)
class LayerInfo:
    """A qcow2 file: what it is laid over (``""``: nothing), and its sizes in bytes."""

    backing_path: str
    backing_format: str
    size_bytes: int
    allocated_bytes: int


class QemuImg:
    """The program, as far as disks and their snapshots need it."""

    def info(self, path: str) -> LayerInfo:
        """What a layer is; it may be in use.

        :raises CloudError: it cannot be read.
        """
        report = json.loads(_run("info", "--force-share", "--output=json", "-f", "qcow2", path))
        return LayerInfo(
            backing_path=report.get("full-backing-filename", report.get("backing-filename", "")),
            backing_format=report.get("backing-filename-format", ""),
            size_bytes=int(report["virtual-size"]),
            allocated_bytes=int(report["actual-size"]),
        )

    def rebase(self, path: str, backing_path: str, backing_format: str) -> None:
        """Lay a layer over another file; its content stays, what it needs is copied into it."""
        _run("rebase", "-f", "qcow2", *_backing(backing_path, backing_format), path)

    def relink(self, path: str, backing_path: str, backing_format: str) -> None:
        """Lay a layer over a file that has the same content as the one that it is on."""
        _run("rebase", "-u", "-f", "qcow2", *_backing(backing_path, backing_format), path)

    def commit(self, path: str) -> None:
        """Write a layer's data into the one below; both have the same content then."""
        _run("commit", "-q", "-f", "qcow2", "-d", path)

    def convert(
        self,
        source: str,
        source_format: str,
        target: str,
        target_format: str,
        report: Callable[[int], None],
        below: Optional[Mapping[str, str]] = None,
        compress: bool = False,
    ) -> None:
        """Write what a guest would read into a new file, zeros left out, telling the percentage.

        ``below`` (``path``, ``format``) is what both files are laid over; without it the new one
        stands alone.
        """
        more = ["-B", below["path"], "-F", below["format"]] if below else []
        more += ["-c"] if compress else []
        formats = ["-f", source_format, "-O", target_format]
        _run_with_progress(report, "convert", "-p", *formats, *more, source, target)

    def measure(self, path: str, source_format: str, target_format: str) -> int:
        """How many bytes the file of a copy may come to take."""
        formats = ["-f", source_format, "-O", target_format]
        report = json.loads(_run("measure", "--output=json", *formats, path))
        return int(report["required"])

    def resize(self, path: str, size_bytes: int) -> None:
        """Grow a qcow2 file that nobody uses."""
        _run("resize", "-q", "-f", "qcow2", path, str(size_bytes))

    def sync(self, path: str) -> None:
        """Have what is in a file's cache on the disk; returns when it is there."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def is_pristine(self, path: str) -> bool:
        """Whether nothing was ever written into a layer. Only true of one that is not in use.

        A qcow2 file keeps its data in tables that its first table names: that one is empty.
        """
        with open(path, "rb") as file:
            header = _HEADER.unpack(file.read(_HEADER.size))
            if header[0] != _MAGIC:
                return False
            entries, offset = header[_L1_ENTRIES], header[_L1_OFFSET]
            file.seek(offset)
            return not any(file.read(entries * 8))


def _backing(path: str, backing_format: str) -> tuple[str, ...]:
    return ("-b", path, "-F", backing_format) if path else ("-b", "")


def _run(*arguments: str) -> str:
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        [_program(), *arguments], capture_output=True, check=False, **_surroundings()
    )
    _check(done.returncode, done.stderr, arguments)
    return done.stdout.decode(errors="replace")


def _run_with_progress(report: Callable[[int], None], *arguments: str) -> None:
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            [_program(), *arguments], stdout=subprocess.PIPE, stderr=complaints, **_surroundings()
        ) as process,
    ):
        try:
            for percent in _percentages(process.stdout):
                report(percent)
            process.wait()
        except BaseException:
            process.kill()
            raise
        complaints.seek(0)
        _check(process.returncode, complaints.read(), arguments)


def _percentages(output: Optional[IO[bytes]]) -> Iterator[int]:
    """What qemu-img draws over and over on one line: ``    (12.34/100%)``."""
    seen = b""
    while output is not None:
        piece = os.read(output.fileno(), 4096)
        if not piece:
            return
        *whole, seen = (seen + piece).split(b"\r")
        for drawn in whole:
            found = _PERCENT.search(drawn)
            if found:
                yield int(found[1])


def _program() -> str:
    program = shutil.which("qemu-img", path="/usr/bin:/usr/local/bin:/bin")
    if program is None:
        raise Unsupported("qemu-img is missing on this host: install qemu-utils or qemu-img")
    return program


def _surroundings() -> Dict[str, Any]:
    return {
        "stdin": subprocess.DEVNULL,
        "env": {"LC_ALL": "C"},
        # A run that is killed must not leave a program behind that goes on writing.
        "preexec_fn": _die_with_parent(),
    }


def _check(returncode: int, complaints: bytes, arguments: Sequence[str]) -> None:
    if returncode == 0:
        return
    reason = complaints.decode(errors="replace").strip()[-400:] or f"exit {returncode}"
    problem = f"qemu-img {arguments[0]} of {arguments[-1]} failed: {reason}"
    raise (Busy if "lock" in reason else CloudError)(problem, path=arguments[-1])


def _die_with_parent() -> Callable[[], None]:
    # Looked up before the fork: loading a library between fork and exec can hang.
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def die_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return die_with_parent
