# SPDX-License-Identifier: Apache-2.0
"""Take a snapshot, go back to one, delete one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.jobs.progress import Step
from nano_api.jobs.tables import Job
from nano_api.operations.base import Operation, Outcome, Playbook, RunVariables, result_of
from nano_api.operations.guest_observation import store_observed
from nano_api.operations.guest_playbooks import READ_BACK as READ_GUEST_BACK

_READ_BACK = "Read the snapshots back"
_READ = Playbook("snapshot_read.yml", (Step(_READ_BACK, 100, changes=False),), _READ_BACK)


def variables(_session: Session, _cloud: Cloud, job: Job) -> RunVariables:
    """The guest, and the snapshot's name, description and whether its memory is meant."""
    return RunVariables(
        {"nano_guest": {"id": job.subject_id}, "nano_snapshot": job.parameters["snapshot"]}
    )


def apply(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """Whatever happened, the row says what is there."""
    guest = session.get_one(Guest, job.subject_id)
    for found in outcome.observed.values():
        guest.snapshots = list(found.get("snapshots") or ())
    for found in outcome.results.get(READ_GUEST_BACK, {}).values():
        _store_guest(guest, found)
    return result_of(job, outcome)


def _store_guest(guest: Guest, found: Mapping[str, Any]) -> None:
    for each in found.get("guests") or ():
        if each["id"] == guest.id:
            store_observed(guest, each)


def _operation(
    name: str, playbook: str, step: str, resume: Literal["rerun", "settle"] = "rerun"
) -> Operation:
    steps = (Step(step, 90), Step(_READ_BACK, 10, changes=False))
    return Operation(
        name=name,
        playbook=Playbook(playbook, steps, _READ_BACK),
        settle=_READ,
        resume=resume,
        variables=variables,
        apply=apply,
    )


SNAPSHOT_CREATE = _operation("snapshot_create", "snapshot_create.yml", "Take the snapshot")
SNAPSHOT_RESTORE = _operation("snapshot_restore", "snapshot_restore.yml", "Restore the snapshot")
SNAPSHOT_DELETE = _operation(
    "snapshot_delete", "snapshot_delete.yml", "Merge and delete the snapshot"
)
