# SPDX-License-Identifier: Apache-2.0
"""A picture of a guest's screen, as PNG."""

import base64
import re
import struct
import zlib
from pathlib import Path

from tests.lab.cell import Cell
from tests.lab.errors import LabError


def screenshot(cell: Cell, domain_name: str, png_path: Path) -> Path:
    """Write what a running guest shows to a PNG file and return its path.

    Raises LabError when the guest does not run on that cell or has no screen.
    """
    remote = f"/tmp/screenshot-{domain_name}.ppm"
    cell.run(["virsh", "--connect", "qemu:///system", "screenshot", domain_name, remote])
    try:
        encoded = cell.run(["base64", "--wrap=0", remote]).stdout
    finally:
        cell.run(["rm", "-f", remote])
    picture = base64.b64decode(encoded)
    if not picture.startswith(b"\x89PNG"):
        # QEMU before 7.1 and libvirt before 9 write portable pixmaps.
        picture = png_from_ppm(picture)
    png_path.parent.mkdir(parents=True, exist_ok=True)
    png_path.write_bytes(picture)
    return png_path


def png_from_ppm(ppm: bytes) -> bytes:
    """Convert a binary portable pixmap of 8 bits per colour. Raises LabError for anything else."""
    header = re.match(rb"P6\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+(\d+)\s", ppm)
    if header is None:
        raise LabError("The screenshot is not a portable pixmap.")
    width, height, depth = (int(number) for number in header.groups())
    pixels = ppm[header.end() :]
    if depth != 255 or len(pixels) < width * height * 3:
        raise LabError("The screenshot is cut short or has an unusual depth of colour.")
    row_bytes = width * 3
    rows = b"".join(
        b"\0" + pixels[row * row_bytes : (row + 1) * row_bytes] for row in range(height)
    )

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", size)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
