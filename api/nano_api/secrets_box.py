# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest, and tickets that we hand out and check ourselves.

The key is a file beside the database (mode 0600): whoever copies the database alone reads no
secret. Encryption and tickets are Fernet's (AES-CBC with HMAC and a time stamp).
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken


class SecretsBox:
    """Seals and opens short secrets."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)

    @classmethod
    def at(cls, path: Path) -> SecretsBox:
        """The box whose key is in ``path``; the key is made when there is none."""
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(path.read_bytes())
        key = Fernet.generate_key()
        with os.fdopen(handle, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        return cls(key)

    def seal(self, secret: str) -> str:
        """The secret as text that only this box opens."""
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """The secret again.

        :raises ValueError: another key sealed it, or it was changed
        """
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise ValueError("the sealed secret does not belong to this key") from error

    def ticket(self, purpose: str) -> str:
        """A bearer token for one purpose, such as ``image:<id>``."""
        return self.seal(purpose)

    def ticket_is_for(self, ticket: str, purpose: str, max_age_seconds: int) -> bool:
        """Whether the ticket is ours, young enough and for exactly this purpose."""
        try:
            found = self._fernet.decrypt(ticket.encode(), ttl=max_age_seconds).decode()
        except (InvalidToken, ValueError):
            return False
        return found == purpose
