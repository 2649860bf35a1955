# SPDX-License-Identifier: Apache-2.0
"""Image files made by hand, good and hostile ones, and the forms they are uploaded in."""

from __future__ import annotations

import hashlib
import struct
import uuid
from typing import Any

import httpx

from nano_api.settings import Settings

BOUNDARY = "----nano-cloud-test-7MA4YWxkTrZu0gW"

_INCOMPATIBLE_DATA_FILE = 1 << 2
_INCOMPATIBLE_UNKNOWN = 1 << 60


def qcow2(
    *,
    version: int = 3,
    virtual_size: int = 16 << 20,
    backing_file: str = "",
    incompatible: int = 0,
    body: bytes = b"",
) -> bytes:
    """A qcow2 file of a header cluster, a refcount table and block, an L1 table, then ``body``."""
    cluster = 1 << 16
    name = backing_file.encode()
    header = struct.pack(
        ">4sIQIIQIIQQIIQ",
        b"QFI\xfb",
        version,
        112 if name else 0,  # backing file's name: its offset and length
        len(name),
        16,  # cluster bits
        virtual_size,
        0,  # not encrypted
        min(1 << 22, max(1, -(-virtual_size // (cluster * cluster // 8)))),  # L1 entries
        3 * cluster,
        1 * cluster,
        1,
        0,
        0,
    )
    if version >= 3:
        header += struct.pack(">QQQII", incompatible, 0, 0, 4, 104)
    header = header.ljust(112, b"\0") + name
    refcount_table = struct.pack(">Q", 2 * cluster)
    refcounts = struct.pack(">4H", 1, 1, 1, 1)
    parts = (header, refcount_table, refcounts, b"")
    return b"".join(part.ljust(cluster, b"\0") for part in parts) + body


def qcow2_with_data_file() -> bytes:
    """A qcow2 whose data stands in another file."""
    return qcow2(incompatible=_INCOMPATIBLE_DATA_FILE)


def qcow2_of_the_future() -> bytes:
    """A qcow2 with a feature that nobody knows."""
    return qcow2(incompatible=_INCOMPATIBLE_UNKNOWN)


def vmdk() -> bytes:
    """A monolithic sparse VMDK whose descriptor names a file of the host."""
    header = struct.pack("<4sIIQQQQIQQ", b"KDMV", 1, 3, 2048, 128, 1, 20, 512, 0, 0)
    descriptor = (
        b"# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
        b'createType="monolithicSparse"\n\nRW 2048 FLAT "/etc/passwd" 0\n'
    )
    return (header.ljust(512, b"\0") + descriptor.ljust(20 * 512, b"\0")).ljust(1 << 20, b"\0")


def iso(front: bytes = b"") -> bytes:
    """An ISO 9660 file system's descriptor, with anything in the system area before it."""
    volume = b"\x01CD001\x01\x00" + b"\0" * 72 + struct.pack("<I", 200) + struct.pack(">I", 200)
    volume = volume.ljust(128, b"\0") + struct.pack("<H", 2048) + struct.pack(">H", 2048)
    return (front.ljust(32768, b"\0") + volume.ljust(2048, b"\0")).ljust(512 << 10, b"\0")


def form(*parts: tuple[str, bytes], end: bool = True) -> bytes:
    """A multipart form of (field, content) pairs; the field ``image`` is a file."""
    pieces = []
    for field, content in parts:
        file_name = '; filename="../../etc/x.qcow2"' if field == "image" else ""
        pieces.append(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"{file_name}\r\n'
            f"Content-Type: application/octet-stream\r\n\r\n".encode()
            + content
            + b"\r\n"
        )
    return b"".join(pieces) + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def new_image(client: httpx.Client, name: str = "", **fields: Any) -> str:
    """Create an image without a file, of a name of its own unless one is given; its id."""
    body = {"name": name or f"image-{uuid.uuid4()}", "owner": "admin", "group": "admin", **fields}
    made = client.post("/disk_images/", json=body).json()
    assert made["error_code"] == 0, made
    image_id: str = made["data"]["id"]
    return image_id


def upload(client: httpx.Client, image_id: str, *parts: tuple[str, bytes]) -> dict[str, Any]:
    """Upload a form; the envelope, which always comes as HTTP 200."""
    response = client.post(
        f"/disk_images/{image_id}/file/",
        content=form(*parts),
        headers={"Content-Type": FORM_TYPE},
    )
    assert response.status_code == 200
    envelope: dict[str, Any] = response.json()
    return envelope


def detail(client: httpx.Client, image_id: str) -> dict[str, Any]:
    """What the API tells about an image."""
    found: dict[str, Any] = client.get(f"/disk_images/{image_id}").json()["data"]
    return found


def files_of(settings: Settings, image_id: str) -> list[str]:
    """Names of all files of an image, finished or not."""
    return sorted(path.name for path in settings.image_folder.rglob(f"{image_id}*"))


def sha1(content: bytes) -> str:
    """SHA-1, hex."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def sha256(content: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(content).hexdigest()
