# SPDX-License-Identifier: Apache-2.0
"""Check and prepare a cell for a compute pool."""

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

CHECK = Playbook("cell_check.yml", (Step(READ_BACK, 100, changes=False),), READ_BACK)


def variables(_session: Session, _cloud: Cloud, _job: Job) -> RunVariables:
    """Nothing beside the cell itself, which every run is given."""
    return RunVariables({})


def apply(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """A cell that passed belongs to the pool; one that did not stays outside."""
    cell = session.get_one(Cell, job.subject_id)
    found = outcome.observed.get(cell.name, {}).get("cell")
    if found:
        cell.alive, cell.seen_at, cell.problem = True, now(), None
        cell.cores = int(found["cores"])
        cell.memory_bytes = int(found["memory_bytes"])
        cell.memory_available_bytes = int(found["memory_available_bytes"])
        cell.cpu_usage_percent = float(found["cpu_usage_percent"])
        cell.disk_bytes = int(found["disk_bytes"])
        cell.disk_available_bytes = int(found["disk_available_bytes"])
    cell.pool = job.parameters["pool"] if outcome.ok else None
    return result_of(job, outcome)


CELL_ASSIGN = Operation(
    name="cell_assign",
    playbook=CHECK,
    settle=CHECK,
    resume="rerun",
    variables=variables,
    apply=apply,
)
