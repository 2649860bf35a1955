# SPDX-License-Identifier: Apache-2.0
"""A small RFB 3.8 client over a console channel's websocket: what a viewer does, by hand."""

from __future__ import annotations

import struct

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from PIL import Image
from websockets.sync.client import ClientConnection

_VERSION = b"RFB 003.008\n"
_VNC_AUTHENTICATION = 2
_SHARED = 1
_RAW = 0
_UPDATE, _COLOUR_MAP, _BELL, _CUT_TEXT = range(4)


class RfbError(Exception):
    """The server refused, or said something that this client does not know."""


class RfbClient:
    """Logged in to a display, which others may use at the same time."""

    def __init__(self, socket: ClientConnection, password: str) -> None:
        self._socket = socket
        self._waiting = b""
        if self._read(12) != _VERSION:
            raise RfbError("not RFB 3.8")
        socket.send(_VERSION)
        offered = self._read(self._read(1)[0])
        if _VNC_AUTHENTICATION not in offered:
            raise RfbError(f"no VNC authentication among {list(offered)}")
        socket.send(bytes([_VNC_AUTHENTICATION]))
        socket.send(_answer(self._read(16), password))
        if self._read(4) != bytes(4):
            raise RfbError("wrong password")
        socket.send(bytes([_SHARED]))
        self.width, self.height = struct.unpack(">HH", self._read(4))
        self._read(16)  # its own pixel format; we ask for ours
        self.name = self._read(struct.unpack(">I", self._read(4))[0]).decode()
        red_green_blue_unused = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)
        socket.send(bytes(4) + red_green_blue_unused)
        socket.send(struct.pack(">BxHi", 2, 1, _RAW))

    def picture(self) -> Image.Image:
        """What the display shows now, all of it."""
        self._socket.send(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))
        picture = Image.new("RGB", (self.width, self.height))
        while True:
            kind = self._read(1)[0]
            if kind == _UPDATE:
                for _ in range(struct.unpack(">xH", self._read(3))[0]):
                    self._rectangle(picture)
                return picture
            self._skip(kind)

    def _rectangle(self, picture: Image.Image) -> None:
        x, y, width, height, encoding = struct.unpack(">HHHHi", self._read(12))
        if encoding != _RAW:
            raise RfbError(f"encoding {encoding} was not asked for")
        pixels = self._read(width * height * 4)
        picture.paste(Image.frombytes("RGB", (width, height), pixels, "raw", "RGBX"), (x, y))

    def _skip(self, kind: int) -> None:
        if kind == _COLOUR_MAP:
            self._read(6 * struct.unpack(">xHH", self._read(5))[1])
        elif kind == _CUT_TEXT:
            self._read(struct.unpack(">3xI", self._read(7))[0])
        elif kind != _BELL:
            raise RfbError(f"message {kind} is unknown")

    def _read(self, count: int) -> bytes:
        chunks, have = [self._waiting], len(self._waiting)
        while have < count:
            chunk = self._socket.recv(timeout=60)
            assert isinstance(chunk, bytes), "a display speaks in binary frames"
            chunks.append(chunk)
            have += len(chunk)
        data = b"".join(chunks)
        self._waiting = data[count:]
        return data[:count]


def _answer(challenge: bytes, password: str) -> bytes:
    """DES of the challenge; the key is the password's first eight bytes, each read backwards."""
    padded = password.encode()[:8].ljust(8, b"\0")
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in padded)
    cipher = Cipher(TripleDES(key * 3), modes.ECB())  # three times the same key is DES
    return cipher.encryptor().update(challenge)
