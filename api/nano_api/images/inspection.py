# SPDX-License-Identifier: Apache-2.0
"""What an uploaded file really is, before anything else opens it.

A disk image is a program for QEMU: a qcow2 may name any file of the host as its backing or data
file. The inspector only looks at headers and never opens what they point at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from oslo_utils.imageutils.format_inspector import (
    FileInspector,
    ImageFormatError,
    InspectWrapper,
    SafetyCheckFailed,
)

from nano_api.errors import InvalidInput, UnsafeImage
from nano_api.images.tables import Kind

#: Formats that an image of a kind may be uploaded in; the first is the default.
FORMATS: Mapping[Kind, tuple[str, ...]] = {"disk": ("qcow2", "raw"), "media": ("iso",)}
ALL_FORMATS = tuple(each for formats in FORMATS.values() for each in formats)

# Every known format shows itself in its first 2 MiB; a header that wants the whole file read
# (as VMDK's with a footer does) shall not make us read it.
_HEAD_BYTES = 2 << 20
_CHUNK_BYTES = 64 << 10

# A raw disk with a partition table is recognised as "gpt" (MBR included).
_ACCEPTED = {"qcow2": {"qcow2"}, "raw": {"raw", "gpt"}, "iso": {"iso"}}

_DISK_WAY_OUT = (
    "convert it with 'qemu-img convert -O qcow2', or declare its format in the field 'format'"
    f" ({' or '.join(FORMATS['disk'])})"
)
_WAYS_OUT = {
    "qcow2": _DISK_WAY_OUT,
    "raw": _DISK_WAY_OUT,
    "iso": "upload an ISO 9660 or UDF image; a disk's image belongs to the disk images",
}

_VIOLATIONS = {
    "backing_file": "it has a backing file; flatten it with 'qemu-img convert -O qcow2'",
    "data_file": "it has an external data file; join them with 'qemu-img convert -O qcow2'",
    "unknown_features": "it uses qcow2 features that are not allowed;"
    " rewrite it with 'qemu-img convert -O qcow2'",
    "mbr": "its partition table is not valid",
}


def inspect(path: Path, declared_format: str, max_virtual_size_bytes: int) -> int:
    """Make sure that a file is what it was declared to be, and safe; returns its virtual size.

    :raises UnsafeImage: another format, several formats at once, or it reaches outside itself
    :raises InvalidInput: the disk inside is empty or larger than allowed
    """
    found = _detect(path, declared_format)
    if found.NAME not in _ACCEPTED[declared_format]:
        raise UnsafeImage(
            f"the file is not {declared_format} but {_name(found)}; {_WAYS_OUT[declared_format]}",
            declared=declared_format,
            found=found.NAME,
        )
    try:
        found.safety_check()
    except SafetyCheckFailed as error:
        reasons = [_VIOLATIONS.get(name, f"check '{name}' failed") for name in error.failures]
        raise UnsafeImage(f"the image is refused: {'; '.join(sorted(reasons))}") from error
    except ImageFormatError as error:
        raise UnsafeImage(f"the file's {declared_format} header is damaged: {error}") from error
    # The inspector of raw files knows only how much it has read.
    size = found.virtual_size if declared_format == "qcow2" else path.stat().st_size
    if not size:
        raise InvalidInput("the disk in the image has no size; upload an image with a real disk")
    if size > max_virtual_size_bytes:
        raise InvalidInput(
            f"the disk in the image has {size} bytes, more than the {max_virtual_size_bytes}"
            " that a disk may have here",
            virtual_size_bytes=size,
        )
    return size


def _detect(path: Path, declared_format: str) -> FileInspector:
    with path.open("rb") as file:
        wrapper = InspectWrapper(file)
        for _ in range(_HEAD_BYTES // _CHUNK_BYTES):
            if not wrapper.read(_CHUNK_BYTES):
                break
        wrapper.close()
    try:
        if declared_format == "iso":
            found = _iso_among(wrapper.formats) or wrapper.format
        else:
            found = wrapper.format
    except ImageFormatError as error:
        raise UnsafeImage(
            f"the file is not plainly {declared_format}: {str(error).lower()};"
            " a file must be of one format only"
        ) from error
    if found is None:
        raise UnsafeImage("the file's format cannot be told")
    return found


def _iso_among(matches: Sequence[FileInspector] | None) -> FileInspector | None:
    """The ISO in a file that is one; it may have a partition table too, to boot from USB sticks."""
    by_name = {match.NAME: match for match in matches or ()}
    return by_name.get("iso") if by_name.keys() <= {"iso", "gpt"} else None


def _name(found: FileInspector) -> str:
    if found.NAME in ("raw", "gpt"):
        return "raw (or no disk image at all)"
    return str(found.NAME)
