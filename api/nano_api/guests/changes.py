# SPDX-License-Identifier: Apache-2.0
"""Changes of a guest that exists. Each is checked here and done by one job."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.errors import Conflict, InvalidInput
from nano_api.guests import allocation, service
from nano_api.guests.tables import Guest
from nano_api.jobs.service import Requester
from nano_api.jobs.tables import Job

_FULL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{1,64}")


def change_cores(
    session: Session, cloud: Cloud, guest_id: str, cores: int, requester: Requester
) -> Job:
    """1 or an even number; a running guest has them after its next start."""
    guest = ready(session, guest_id)
    service.check_cores(cores, cloud.settings)
    _check_differs(guest.cores, cores)
    return _submit(session, guest, requester, {"cores": cores})


def change_memory(
    session: Session, cloud: Cloud, guest_id: str, memory_bytes: int, requester: Requester
) -> Job:
    """A running guest has it after its next start."""
    guest = ready(session, guest_id)
    service.check_memory(memory_bytes, cloud.settings)
    _check_differs(guest.memory_bytes, memory_bytes)
    return _submit(session, guest, requester, {"memory_bytes": memory_bytes})


def rename(session: Session, guest_id: str, name: str, requester: Requester) -> Job:
    """``name`` is the full new name, ``group.name``, as Nano's clients send it.

    :raises Conflict: it runs, or another guest of the pool has that name
    """
    guest = ready(session, guest_id)
    if not _FULL_NAME.fullmatch(name):
        raise InvalidInput(
            f"invalid name '{name[:140]}': it is GROUP.NAME, each of letters, digits, '-' and '_'",
            field="name",
        )
    _check_differs(guest.name, name)
    check_stopped(guest)
    taken = select(Guest.id).where(Guest.pool == guest.pool, Guest.name == name)
    if session.scalar(taken) is not None:
        raise Conflict(f"instance '{name}' already exists in pool '{guest.pool}'", name=name)
    return _submit(session, guest, requester, {"name": name})


def set_auto_start(session: Session, guest_id: str, enable: bool, requester: Requester) -> Job:
    """Whether the guest starts with its cell."""
    guest = ready(session, guest_id)
    if guest.auto_start == enable:
        state = "enabled" if enable else "disabled"
        raise Conflict(f"auto start of guest '{guest.name}' already {state}", guest=guest.id)
    return _submit(session, guest, requester, {"auto_start": enable})


def grow_disk(
    session: Session, cloud: Cloud, guest_id: str, index: int, size_bytes: int, requester: Requester
) -> Job:
    """Only larger; a guest that runs sees it at once."""
    guest = ready(session, guest_id)
    check_disk_index(guest, index)
    service.check_disk(f"size of disk {index}", size_bytes, cloud.settings)
    if size_bytes <= guest.disks[index]:
        raise InvalidInput(
            f"size must be larger than the disk's {guest.disks[index]} bytes, not {size_bytes}",
            field="size",
        )
    sizes = [*guest.disks]
    sizes[index] = size_bytes
    disks = [{"size_bytes": size} for size in sizes]
    return _submit(session, guest, requester, {"disks": disks})


def change_limits(
    session: Session, guest_id: str, limits: dict[str, Any], requester: Requester
) -> Job:
    """``limits`` as ``guests.limits`` makes them; at once, also in a running guest."""
    guest = ready(session, guest_id)
    _check_differs({name: guest.limits.get(name) for name in limits}, limits)
    return _submit(session, guest, requester, limits)


def renew_monitor_secret(
    session: Session, cloud: Cloud, guest_id: str, requester: Requester
) -> Job:
    """A new password for the guest's display."""
    guest = ready(session, guest_id)
    sealed = cloud.secrets.seal(allocation.new_monitor_secret())
    return service.submit(
        session,
        "guest_change",
        guest,
        requester,
        {"changes": {}, "monitor_secret_sealed": sealed},
    )


def _submit(session: Session, guest: Guest, requester: Requester, changes: dict[str, Any]) -> Job:
    return service.submit(session, "guest_change", guest, requester, {"changes": changes})


def ready(session: Session, guest_id: str) -> Guest:
    """A guest that can be changed.

    :raises NotFound: there is none
    :raises Conflict: it is being created or deleted
    """
    guest = service.get(session, guest_id)
    if guest.state != "created":
        raise Conflict(f"instance '{guest.id}' is not ready ({guest.state})", guest=guest.id)
    return guest


def _check_differs(now: Any, wanted: Any) -> None:
    if now == wanted:
        raise Conflict("no need to modify")


def check_disk_index(guest: Guest, index: int) -> None:
    """:raises InvalidInput: the guest has no such disk"""
    if not 0 <= index < len(guest.disks):
        raise InvalidInput(
            f"invalid disk {index}: guest '{guest.name}' has disks 0 to {len(guest.disks) - 1}",
            field="disk",
        )


def check_stopped(guest: Guest) -> None:
    """:raises Conflict: the guest runs"""
    if guest.running:
        raise Conflict(f"instance '{guest.id}' is still running: stop it first", guest=guest.id)
