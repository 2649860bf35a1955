# SPDX-License-Identifier: Apache-2.0
"""Bytes between a websocket and a console, each side read as fast as the other takes."""

from __future__ import annotations

import asyncio
import codecs
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from fastapi import WebSocket, WebSocketDisconnect

from nano_api.consoles.streams import Stream
from nano_api.errors import CloudError

_CHUNK_BYTES = 64 << 10
#: How often an open console asks whether its session lives: it outlives it by no more.
_SESSION_SECONDS = 2.0
#: What fits into a websocket's last frame.
_LONGEST_REASON_BYTES = 123

_NORMAL, _POLICY, _ERROR = 1000, 1008, 1011


@dataclass(frozen=True)
class Ending:
    """Why a console was closed: a websocket's code and reason. Code 0: the browser left."""

    code: int
    reason: str

    async def tell(self, socket: WebSocket) -> None:
        """Close the websocket, unless the browser has."""
        reason = self.reason.encode()[:_LONGEST_REASON_BYTES].decode(errors="ignore")
        if self.code:
            with suppress(RuntimeError):  # the browser was first after all
                await socket.close(self.code, reason)


class Pipe:
    """One open console. ``binary``: frames of bytes to the browser; else of text."""

    def __init__(self, socket: WebSocket, stream: Stream, *, binary: bool) -> None:
        self._socket = socket
        self._stream = stream
        self._binary = binary
        self._used = time.monotonic()

    async def run(
        self, *, idle_seconds: float, check_allowed: Callable[[], Awaitable[None]]
    ) -> Ending:
        """Pass bytes both ways until a side ends, nothing uses it, or ``check_allowed`` objects.

        :param check_allowed: raises CloudError when the console must end
        """
        ways = [
            asyncio.create_task(way)
            for way in (
                self._to_browser(),
                self._to_console(),
                self._watch_use(idle_seconds),
                _watch_session(check_allowed),
            )
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _to_browser(self) -> Ending:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        came = False
        while data := await self._read():
            self._note_use()
            if not came:
                came = True
                self._stream.came_up()
            try:
                if self._binary:
                    await self._socket.send_bytes(data)
                elif text := decoder.decode(data):
                    await self._socket.send_text(text)
            except (WebSocketDisconnect, RuntimeError):
                return Ending(0, "the browser left")
        reason = await self._stream.reason()
        if came or not reason:
            return Ending(_NORMAL, "the guest closed its console")
        return Ending(_ERROR, f"the console cannot be reached: {reason}")

    async def _read(self) -> bytes:
        try:
            return await self._stream.reader.read(_CHUNK_BYTES)
        except ConnectionError:  # how a display ends that is killed
            return b""

    async def _to_console(self) -> Ending:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return Ending(0, "the browser left")
            self._note_use()
            data = message.get("bytes")
            try:
                await self._write(message["text"].encode() if data is None else data)
            except ConnectionError:
                await asyncio.Event().wait()  # the other way tells how it ended

    async def _write(self, data: bytes) -> None:
        writer = self._stream.writer
        if writer.is_closing():  # uvloop's streams raise a RuntimeError then
            raise ConnectionResetError("the console is closed")
        writer.write(data)
        await writer.drain()

    async def _watch_use(self, idle_seconds: float) -> Ending:
        while (left := self._used + idle_seconds - time.monotonic()) > 0:
            await asyncio.sleep(left)
        return Ending(_NORMAL, f"nothing used this console for {idle_seconds:.0f} s")

    def _note_use(self) -> None:
        self._used = time.monotonic()


async def _watch_session(check_allowed: Callable[[], Awaitable[None]]) -> Ending:
    while True:
        await asyncio.sleep(_SESSION_SECONDS)
        try:
            await check_allowed()
        except CloudError as error:
            return Ending(_POLICY, error.message)
