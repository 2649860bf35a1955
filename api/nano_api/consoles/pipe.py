# SPDX-License-Identifier: Apache-2.0
"""Bytes between a websocket and a port on a cell's loopback, reached through ssh.

Displays listen on their cell's loopback only; nothing of them is open to a network.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import WebSocket, WebSocketDisconnect

from nano_api.cells.ssh import is_local, tunnel_words
from nano_api.cells.tables import Cell

_CHUNK_BYTES = 64 << 10
#: A console that nobody and nothing uses is closed.
_IDLE_SECONDS = 30 * 60


@asynccontextmanager
async def display_of(
    cell: Cell, port: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a port on the cell's loopback.

    :raises OSError: ssh is missing, or a local display does not listen
    """
    if is_local(cell):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()
        return
    process = await asyncio.create_subprocess_exec(
        *tunnel_words(cell, port), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process.stdout, process.stdin
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def pipe(socket: WebSocket, cell: Cell, port: int) -> None:
    """Pass bytes both ways until one side ends; each side is read as fast as the other takes."""
    async with display_of(cell, port) as (reader, writer):
        ways = [
            asyncio.create_task(_to_browser(reader, socket)),
            asyncio.create_task(_to_display(socket, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
    with suppress(RuntimeError):  # the browser was first to close
        await socket.close()


async def _to_browser(reader: asyncio.StreamReader, socket: WebSocket) -> None:
    while data := await asyncio.wait_for(reader.read(_CHUNK_BYTES), _IDLE_SECONDS):
        await socket.send_bytes(data)


async def _to_display(socket: WebSocket, writer: asyncio.StreamWriter) -> None:
    with suppress(WebSocketDisconnect, ConnectionError):
        while True:
            writer.write(await socket.receive_bytes())
            await writer.drain()
