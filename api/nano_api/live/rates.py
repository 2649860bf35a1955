# SPDX-License-Identifier: Apache-2.0
"""Speeds from counters that grow, and begin anew whenever their device does. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import nano_api.content  # noqa: F401  (makes the collection importable)

from ansible_collections.nano.cloud.plugins.module_utils.statistics import (  # isort: skip
    GuestStatistics,
)


@dataclass(frozen=True)
class Speeds:
    """Bytes per second, as the guest sees them."""

    read: int = 0
    write: int = 0
    receive: int = 0
    send: int = 0

    def __add__(self, other: Speeds) -> Speeds:
        return Speeds(
            self.read + other.read,
            self.write + other.write,
            self.receive + other.receive,
            self.send + other.send,
        )


Counters = Mapping[tuple[str, str], int]


def disk_counters(guest: GuestStatistics) -> Counters:
    """(kind of traffic, disk) → bytes so far; what libvirt does not tell is left out."""
    found: dict[tuple[str, str], int | None] = {}
    for disk in guest.disks:
        found["read", disk.target] = disk.read_bytes
        found["write", disk.target] = disk.written_bytes
    return {key: value for key, value in found.items() if value is not None}


def card_counters(guest: GuestStatistics) -> Counters:
    """(kind of traffic, network card) → bytes so far; what libvirt does not tell is left out."""
    found: dict[tuple[str, str], int | None] = {}
    for card in guest.network_cards:
        found["receive", card.name] = card.received_bytes
        found["send", card.name] = card.sent_bytes
    return {key: value for key, value in found.items() if value is not None}


def speeds(before: Counters | None, after: Counters, elapsed_seconds: float) -> Speeds:
    """What moved between two looks.

    A counter that fell began anew in between, as one of a device that was plugged in did: what
    it shows has moved since. Of a guest that is seen for the first time nothing can be told.
    """
    if before is None or elapsed_seconds <= 0:
        return Speeds()
    moved: dict[str, int] = {}
    for (kind, device), value in after.items():
        last = before.get((kind, device), 0)
        moved[kind] = moved.get(kind, 0) + (value - last if value >= last else value)
    return Speeds(**{kind: round(number / elapsed_seconds) for kind, number in moved.items()})
