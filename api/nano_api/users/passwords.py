# SPDX-License-Identifier: Apache-2.0
"""Passwords: the rule for new ones, and argon2id hashes.

One hash takes 19 MiB and some 30 ms, so only a few are computed at once; a caller waits its turn.
Call these outside of a database transaction: nobody should wait for a hash with the write lock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from argon2.low_level import Type

from nano_api.errors import Busy, InvalidInput

MIN_LENGTH = 8
MAX_LENGTH = 256

_MAX_HASHES_AT_ONCE = 4
_TURN_SECONDS = 15

_turns = threading.BoundedSemaphore(_MAX_HASHES_AT_ONCE)


def new_hasher() -> PasswordHasher:
    """What makes the hashes that are stored."""
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)


_hasher = new_hasher()


def check_password(password: str) -> str:
    """A password that may be set: 8 characters or more, a digit, a lower and an upper letter.

    :raises InvalidInput: the first rule that it breaks
    """
    if not password:
        raise InvalidInput("password required", field="password")
    if len(password) < MIN_LENGTH:
        raise InvalidInput(f"length of password must >= {MIN_LENGTH}", field="password")
    if len(password) > MAX_LENGTH:
        raise InvalidInput(f"length of password must <= {MAX_LENGTH}", field="password")
    if not any(letter.isdigit() for letter in password):
        raise InvalidInput("password must have a digit at least", field="password")
    if not any(letter.islower() for letter in password):
        raise InvalidInput("password must have a lower-case letter at least", field="password")
    if not any(letter.isupper() for letter in password):
        raise InvalidInput("password must have an upper-case letter at least", field="password")
    return password


def hash_password(password: str) -> str:
    """The argon2id hash, with its parameters and salt, as text to store.

    :raises Busy: too many are being computed
    """
    with _turn():
        return _hasher.hash(password)


def password_matches(stored_hash: str | None, password: str) -> bool:
    """Whether the password is the stored one; ``None`` (no such user) takes as long as a wrong one.

    :raises Busy: too many are being computed
    """
    with _turn():
        if stored_hash is None:
            _hasher.hash(password)
            return False
        try:
            return _hasher.verify(stored_hash, password)
        except VerificationError:
            return False


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=_TURN_SECONDS):
        raise Busy("too many log-ins at once; try again in a moment")
    try:
        yield
    finally:
        _turns.release()
