# SPDX-License-Identifier: Apache-2.0
"""Snapshots: checked and looked up in the guest's row. Jobs do the rest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from nano_api.clock import wire_time
from nano_api.errors import Conflict, InvalidInput, NotFound
from nano_api.guests import changes, service
from nano_api.guests.tables import Guest
from nano_api.jobs.service import Requester
from nano_api.jobs.tables import Job

from ansible_collections.nano.cloud.plugins.module_utils.names import (  # isort: skip
    check_snapshot_name,
    check_text,
)

_MAX_DESCRIPTION_LENGTH = 256


def all_of(session: Session, guest_id: str) -> list[dict[str, Any]]:
    """A guest's snapshots, oldest first, as ``nano.cloud.snapshot_info`` tells them.

    :raises NotFound: no such guest
    """
    return list(service.get(session, guest_id).snapshots)


def get(session: Session, guest_id: str, name: str) -> dict[str, Any]:
    """:raises NotFound: no such guest, or it has no such snapshot"""
    return _find(service.get(session, guest_id), name)


def wire_time_of(snapshot: dict[str, Any]) -> str:
    """When it was taken, as Nano writes times."""
    return wire_time(datetime.fromisoformat(snapshot["create_time"])) or ""


def create(
    session: Session, guest_id: str, name: str, description: str, memory: bool, requester: Requester
) -> Job:
    """Submit the job that takes a snapshot; of a running guest, as after a power failure.

    :raises InvalidInput: a field is missing or breaks its rule
    :raises Conflict: there is one of that name, or the guest is not ready
    """
    guest = changes.ready(session, guest_id)
    if not name:
        raise InvalidInput("name required", field="name")
    check_snapshot_name(name, "name")
    check_text(description, "description", limit=_MAX_DESCRIPTION_LENGTH)
    if memory and not guest.running:
        raise Conflict(
            f"instance '{guest.id}' is stopped: it has no memory to keep", guest=guest.id
        )
    if any(each["name"] == name for each in guest.snapshots):
        raise Conflict(f"snapshot '{name}' already exists", guest=guest.id, snapshot=name)
    snapshot = {"name": name, "description": description, "memory": memory}
    return _submit(session, "snapshot_create", guest, snapshot, requester)


def restore(session: Session, guest_id: str, name: str, requester: Requester) -> Job:
    """Submit the job that brings a stopped guest back to a snapshot.

    :raises NotFound: no such snapshot
    :raises Conflict: the guest runs; the message is Nano's
    """
    guest = changes.ready(session, guest_id)
    if not name:
        raise InvalidInput("target required", field="target")
    _find(guest, name)
    if guest.running:
        raise Conflict(
            "live snapshot not supported yes, shutdown instance first: restoring would throw away "
            f"what instance '{guest.id}' is doing",
            guest=guest.id,
        )
    return _submit(session, "snapshot_restore", guest, {"name": name, "memory": False}, requester)


def delete(session: Session, guest_id: str, name: str, requester: Requester) -> Job:
    """Submit the job that merges a snapshot into those made from it, and deletes it.

    :raises NotFound: no such snapshot
    """
    guest = changes.ready(session, guest_id)
    _find(guest, name)
    return _submit(session, "snapshot_delete", guest, {"name": name}, requester)


def _submit(
    session: Session, operation: str, guest: Guest, snapshot: dict[str, Any], requester: Requester
) -> Job:
    return service.submit(session, operation, guest, requester, {"snapshot": snapshot})


def _find(guest: Guest, name: str) -> dict[str, Any]:
    for each in guest.snapshots:
        if each["name"] == name:
            found: dict[str, Any] = each
            return found
    raise NotFound(f"invalid snapshot '{name[:140]}'", guest=guest.id, snapshot=name[:140])
