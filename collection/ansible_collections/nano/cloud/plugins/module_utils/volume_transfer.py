# SPDX-License-Identifier: BSD-2-Clause
"""A volume's content through libvirt's streams: to another host's, or to us and from us."""

from __future__ import annotations

from typing import Callable

from . import volume_xml
from .libvirt_binding import flags, translated
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool, Volume

_CHUNK_BYTES = 256 * 1024
_HOLE = -3


def transfer_volume(
    source: LibvirtHost,
    volume: Volume,
    target: LibvirtHost,
    pool: Pool,
    name: str,
    moved: Callable[[int], None],
) -> None:
    """Make ``name`` in ``pool`` of the target, byte for byte as ``volume`` is.

    ``moved`` hears of every piece's size in bytes. What was begun is deleted on failure.

    :raises CloudError: one of the two libvirts refused or went away.
    """
    # The file is made empty and filled as a whole: its own header says what it is.
    made = pool.create_volume(volume_xml.build(volume_xml.VolumeSpec(name, 0, "raw")))
    try:
        _stream(source, volume, target, made, moved)
        pool.refresh()
    except BaseException:
        made.delete()
        raise


def _stream(
    source: LibvirtHost,
    volume: Volume,
    target: LibvirtHost,
    made: Volume,
    moved: Callable[[int], None],
) -> None:
    with translated(f"copy volume {volume.name}"):
        reading, writing = source.new_stream(), target.new_stream()
        volume.download(reading)
        made.upload(writing)
        stop_at_holes = flags("STREAM_RECV_STOP_AT_HOLE")
        while True:
            data = reading.recvFlags(_CHUNK_BYTES, stop_at_holes)
            if data == _HOLE:
                size = reading.recvHole()
                writing.sendHole(size)
                moved(size)
                continue
            if not data:
                break
            moved(len(data))
            while data:
                data = data[writing.send(data) :]
        reading.finish()
        writing.finish()


def read_volume(host: LibvirtHost, volume: Volume) -> bytes:
    """All of a small volume.

    :raises CloudError: libvirt refused or went away.
    """
    parts = []
    with translated(f"read volume {volume.name}"):
        stream = host.new_stream()
        volume.download(stream)
        while True:
            data = stream.recvFlags(_CHUNK_BYTES, flags("STREAM_RECV_STOP_AT_HOLE"))
            if data == _HOLE:
                data = bytes(stream.recvHole())
            if not data:
                break
            parts.append(data)
        stream.finish()
    return b"".join(parts)


def write_volume(host: LibvirtHost, volume: Volume, content: bytes) -> None:
    """Fill a volume of that size.

    :raises CloudError: libvirt refused or went away.
    """
    with translated(f"write volume {volume.name}"):
        stream = host.new_stream()
        volume.upload(stream)
        while content:
            content = content[stream.send(content[:_CHUNK_BYTES]) :]
        stream.finish()
