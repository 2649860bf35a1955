# SPDX-License-Identifier: BSD-2-Clause
"""Passwords as Linux keeps them: crypt's SHA-512 (``$6$``), which Python 3.13 no longer has. Pure.

The algorithm is Ulrich Drepper's, "Unix crypt using SHA-256 and SHA-512".
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import List

_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROUNDS = 5000
_SALT_LENGTH = 16
_HASH = re.compile(r"\$6\$(?P<salt>[./0-9A-Za-z]{1,16})\$[./0-9A-Za-z]{86}")


def new_hash(password: str) -> str:
    """The hash of a password, with a salt of its own."""
    return hash_with_salt(password, "".join(secrets.choice(_ALPHABET) for _ in range(_SALT_LENGTH)))


def is_hash_of(password: str, known: str) -> bool:
    """Whether ``known`` is a hash of the password as ``new_hash`` makes them."""
    found = _HASH.fullmatch(known)
    return found is not None and hmac.compare_digest(hash_with_salt(password, found["salt"]), known)


def hash_with_salt(password: str, salt: str) -> str:
    """The hash of a password with a salt of up to 16 characters."""
    key, grain = password.encode(), salt.encode()
    digest = _rounds(key, grain, _first_digest(key, grain))
    return f"$6${salt}${_encoded(digest)}"


def _first_digest(key: bytes, grain: bytes) -> bytes:
    alternate = hashlib.sha512(key + grain + key).digest()
    mixed = hashlib.sha512(key + grain + _stretched(alternate, len(key)))
    length = len(key)
    while length:
        mixed.update(alternate if length & 1 else key)
        length >>= 1
    return mixed.digest()


def _rounds(key: bytes, grain: bytes, digest: bytes) -> bytes:
    long_key = _stretched(hashlib.sha512(key * len(key)).digest(), len(key))
    long_grain = _stretched(hashlib.sha512(grain * (16 + digest[0])).digest(), len(grain))
    for number in range(_ROUNDS):
        odd = number & 1
        text = long_key if odd else digest
        if number % 3:
            text += long_grain
        if number % 7:
            text += long_key
        digest = hashlib.sha512(text + (digest if odd else long_key)).digest()
    return digest


def _stretched(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


def _encoded(digest: bytes) -> str:
    """Three bytes give four characters; the order of the bytes is the algorithm's own."""
    letters: List[str] = []
    first, second, third = 0, 21, 42
    for _group in range(21):
        value = digest[first] << 16 | digest[second] << 8 | digest[third]
        letters += (_ALPHABET[value >> shift & 63] for shift in (0, 6, 12, 18))
        first, second, third = second + 1, third + 1, first + 1
    letters += (_ALPHABET[digest[63] >> shift & 63] for shift in (0, 6))
    return "".join(letters)
