# SPDX-License-Identifier: Apache-2.0
"""From what a playbook read back of a guest to its row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nano_api.clock import now
from nano_api.guests.limits import kept_limits
from nano_api.guests.tables import Guest
from nano_api.operations.base import Outcome

_LONGEST_ID = 64
#: States of ``guest_info`` in which a guest occupies its cell's processor or memory.
_RUNNING = frozenset({"running", "paused", "stopping", "suspended"})


def observed_guest(outcome: Outcome, guest_id: str) -> Mapping[str, Any] | None:
    """The guest among what was read back, or None when the cell does not have it."""
    for cell in outcome.observed.values():
        for guest in cell.get("guests") or ():
            if guest["id"] == guest_id:
                found: Mapping[str, Any] = guest
                return found
    return None


def store_observed(guest: Guest, found: Mapping[str, Any]) -> None:
    """What is there goes into the row."""
    guest.running = found["state"] in _RUNNING
    guest.observed_at = now()
    guest.cores = int(found["cores"])
    guest.memory_bytes = int(found["memory_bytes"])
    guest.disks = [int(disk["size_bytes"] or 0) for disk in found["disks"]]
    guest.limits = kept_limits(found)
    guest.auto_start = bool(found["auto_start"])
    guest.media_id = _image_id(found.get("medium"))


def _image_id(medium: str | None) -> str | None:
    """What is in the drive, when it is one of our images."""
    return medium if medium and "/" not in medium and len(medium) <= _LONGEST_ID else None
