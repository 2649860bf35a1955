# SPDX-License-Identifier: Apache-2.0
"""Cells join compute pools and leave them, with their shared storage."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.jobs.progress import Step
from nano_api.jobs.tables import Job
from nano_api.operations.base import Operation, Outcome, Playbook, RunVariables, result_of

READ_BACK = "Read the cell back"

CHECK = Playbook(
    "cell_check.yml",
    (
        Step("Check libvirt and the guest bridge", 20, changes=False),
        Step("Make the storage pools active", 40),
        Step("Attach shared storage", 40),
    ),
    READ_BACK,
)
LEAVE = Playbook(
    "cell_leave.yml",
    (Step("Detach shared storage", 80), Step(READ_BACK, 20, changes=False)),
    READ_BACK,
)


def variables(_session: Session, _cloud: Cloud, job: Job) -> RunVariables:
    """The shared storage, if there is any; the cell itself every run is given."""
    storage = job.parameters.get("storage")
    return RunVariables({"nano_storage_pool": storage} if storage else {})


def apply(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """A cell that passed belongs to the pool; one that did not stays where it was."""
    cell = session.get_one(Cell, job.subject_id)
    found = outcome.observed.get(cell.name, {}).get("cell")
    if found:
        _store(cell, found, job.parameters.get("storage"))
    joined = outcome.ok or job.parameters.get("rejoins")
    cell.pool = job.parameters["pool"] if joined else None
    if not outcome.ok and cell.pool and outcome.failure:
        cell.storage_problem = outcome.failure.message
    return result_of(job, outcome)


def apply_leaving(
    session: Session, _cloud: Cloud, job: Job, outcome: Outcome
) -> list[dict[str, Any]]:
    """A cell without the storage belongs to no pool; one that kept it stays, and says so."""
    cell = session.get_one(Cell, job.subject_id)
    found = outcome.observed.get(cell.name, {}).get("cell")
    if found:
        _store(cell, found, None if outcome.ok else job.parameters["storage"])
    if outcome.ok:
        cell.pool, cell.storage_attached, cell.storage_problem = None, False, None
    return result_of(job, outcome)


def _store(cell: Cell, found: dict[str, Any], storage: dict[str, Any] | None) -> None:
    cell.alive, cell.seen_at, cell.problem = True, now(), None
    cell.cores = int(found["cores"])
    cell.memory_bytes = int(found["memory_bytes"])
    cell.memory_available_bytes = int(found["memory_available_bytes"])
    cell.cpu_usage_percent = float(found["cpu_usage_percent"])
    cell.disk_bytes = int(found["disk_bytes"])
    cell.disk_available_bytes = int(found["disk_available_bytes"])
    cell.storage_attached, cell.storage_problem = False, None
    if not storage:
        return
    pools = {pool["name"]: pool for pool in found["pools"]}
    pool = pools.get(storage["name"])
    cell.storage_attached = pool is not None and pool["state"] == "active"
    if pool is not None and cell.storage_attached:
        # Of a cell with shared storage that is the room that counts.
        cell.disk_bytes = int(pool["capacity_bytes"])
        cell.disk_available_bytes = int(pool["available_bytes"])


CELL_ASSIGN = Operation(
    name="cell_assign",
    playbook=CHECK,
    settle=CHECK,
    resume="rerun",
    variables=variables,
    apply=apply,
)

CELL_RELEASE = Operation(
    name="cell_release",
    playbook=LEAVE,
    settle=LEAVE,
    resume="rerun",
    variables=variables,
    apply=apply_leaving,
)
