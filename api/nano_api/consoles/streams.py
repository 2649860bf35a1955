# SPDX-License-Identifier: Apache-2.0
"""Bytes from and to a cell through ssh: a port on its loopback, or a command's input and output.

Displays listen on their cell's loopback only; nothing of them is open to a network.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.resources import files

from nano_api.cells.ssh import command_words, is_local, python_of, tunnel_words
from nano_api.cells.tables import Cell
from nano_api.consoles.service import Console

#: Connections to one cell that are being made at the same time. An ssh server drops some of
#: those that have not logged in yet when there are more than ten of them.
_HANDSHAKES = 5
#: A connection that has said nothing for so long is not being made any more.
_HANDSHAKE_SECONDS = 5.0
_LONGEST_COMPLAINT_BYTES = 4096


@dataclass(frozen=True)
class Stream:
    """Both ways to a console. ``came_up`` is to be called at the first byte that comes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    came_up: Callable[[], None]
    complaint: asyncio.Task[bytes] | None = None

    async def reason(self) -> str:
        """What ssh, or the command on the cell, said went wrong; "" when it said nothing."""
        if self.complaint is None:
            return ""
        with suppress(TimeoutError):
            said = await asyncio.wait_for(asyncio.shield(self.complaint), 1)
            lines = said.decode(errors="replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""


@dataclass
class Doors:
    """How many connections to each cell are being made now; one per running API."""

    _turns: defaultdict[str, asyncio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(_HANDSHAKES))
    )

    @asynccontextmanager
    async def open(self, console: Console) -> AsyncIterator[Stream]:
        """A connection to a console.

        :raises OSError: ssh is missing, or a local display does not listen
        """
        cell = console.cell
        if console.type == "display" and is_local(cell):
            reader, writer = await asyncio.open_connection("127.0.0.1", console.display_port)
            try:
                yield Stream(reader, writer, came_up=lambda: None)
            finally:
                writer.close()
            return
        words = _words(console)
        async with self._turn(cell) as came_up, _process(words) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stderr is not None
            complaint = asyncio.create_task(_last_words(process.stderr))
            try:
                yield Stream(process.stdout, process.stdin, came_up, complaint)
            finally:
                complaint.cancel()

    async def read(self, cell: Cell, *command: str, seconds: float) -> tuple[int, bytes, bytes]:
        """Run a command that only reads: its exit status, output and error output.

        :raises OSError: ssh is missing
        :raises TimeoutError: no answer in time
        """
        words = command_words(cell, *command)
        async with asyncio.timeout(seconds), self._turn(cell), _process(words) as process:
            output, complaint = await process.communicate()
            assert process.returncode is not None
            return process.returncode, output, complaint

    @asynccontextmanager
    async def _turn(self, cell: Cell) -> AsyncIterator[Callable[[], None]]:
        """Wait for a turn; it is over at the first call of what this gives, or after a while."""
        turns = self._turns[cell.name]
        await turns.acquire()
        taken = True

        def over() -> None:
            nonlocal taken
            if taken:
                taken = False
                turns.release()

        timer = asyncio.get_running_loop().call_later(_HANDSHAKE_SECONDS, over)
        try:
            yield over
        finally:
            timer.cancel()
            over()


def _words(console: Console) -> list[str]:
    if console.type == "display":
        return tunnel_words(console.cell, console.display_port)
    script = files("nano_api.consoles").joinpath("serial_bridge.py").read_text()
    how = "takes-over" if console.takes_over else "waits"
    python = python_of(console.cell)
    return command_words(console.cell, python, "-c", script, console.guest_id, how)


@asynccontextmanager
async def _process(words: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _last_words(errors: asyncio.StreamReader) -> bytes:
    """Read to the end, so that nobody waits to write, and keep the end."""
    kept = b""
    while data := await errors.read(_LONGEST_COMPLAINT_BYTES):
        kept = (kept + data)[-_LONGEST_COMPLAINT_BYTES:]
    return kept
