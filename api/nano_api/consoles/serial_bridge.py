# SPDX-License-Identifier: Apache-2.0
"""Runs on a cell, sent there through ssh: bytes between its own pipes and a guest's serial console.

Python 3.9, standard library and libvirt: it stands alone.
"""

import os
import sys
from typing import Any

import libvirt

_CHUNK_BYTES = 1 << 16
_WOULD_BLOCK = -2
_ENDED = libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP
_READABLE = libvirt.VIR_STREAM_EVENT_READABLE
_WRITABLE = libvirt.VIR_STREAM_EVENT_WRITABLE


class Bridge:
    """Reads from one side as fast as the other takes, and not faster."""

    def __init__(self, connection: Any, domain: Any, takes_over: bool) -> None:
        self.running = True
        self._pending = b""
        self._stream = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
        domain.openConsole(None, self._stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE * takes_over)
        self._stream.eventAddCallback(_READABLE | _ENDED, self._on_console, None)
        self._input = libvirt.virEventAddHandle(
            0, libvirt.VIR_EVENT_HANDLE_READABLE, self._on_input, None
        )

    def _on_console(self, _stream: Any, events: int, _opaque: Any) -> None:
        try:
            if events & _READABLE:
                self._read()
            if events & _WRITABLE:
                self._write()
            if events & _ENDED:
                self.running = False
        except (libvirt.libvirtError, OSError):
            self.running = False

    def _read(self) -> None:
        data = self._stream.recv(_CHUNK_BYTES)
        if data == _WOULD_BLOCK:
            return
        if not data:
            self.running = False
        while data:  # waiting here keeps the console waiting too
            data = data[os.write(1, data) :]

    def _write(self) -> None:
        sent = self._stream.send(self._pending)
        if sent != _WOULD_BLOCK:
            self._pending = self._pending[sent:]
        if not self._pending:
            self._stream.eventUpdateCallback(_READABLE | _ENDED)
            libvirt.virEventUpdateHandle(self._input, libvirt.VIR_EVENT_HANDLE_READABLE)

    def _on_input(self, _watch: int, _descriptor: int, _events: int, _opaque: Any) -> None:
        self._pending = os.read(0, _CHUNK_BYTES)
        if not self._pending:
            self.running = False
            return
        libvirt.virEventUpdateHandle(self._input, 0)  # until these bytes are gone
        self._stream.eventUpdateCallback(_READABLE | _WRITABLE | _ENDED)


def main(guest_id: str, how: str) -> None:
    """Pass bytes until one side ends."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    libvirt.virEventRegisterDefaultImpl()
    try:
        connection = libvirt.open("qemu:///system")
        bridge = Bridge(connection, connection.lookupByUUIDString(guest_id), how == "takes-over")
    except libvirt.libvirtError as error:
        sys.exit(error.get_error_message())
    while bridge.running:
        libvirt.virEventRunDefaultImpl()


if __name__ == "__main__":
    main(*sys.argv[1:])
