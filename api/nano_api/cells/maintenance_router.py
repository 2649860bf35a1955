# SPDX-License-Identifier: Apache-2.0
"""``/cells/{cell}/maintenance``: beyond Nano, whose portal shows such a cell as disabled."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Response
from pydantic import BaseModel

from nano_api.cells import maintenance
from nano_api.cells.maintenance import Maintenance
from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, WireModel, reply
from nano_api.jobs.submitting import name_job, requester_of
from nano_api.sessions.dependency import CurrentSession

router = NanoRouter(tags=["cells"])


class MaintenanceIn(WireModel):
    """Where the guests go; without it each goes where there is most room."""

    target_cell: str = ""


class GuestLeftOut(BaseModel):
    """A guest that is still on the cell; ``error`` says why it stays."""

    id: str
    name: str
    running: bool
    moving: bool
    error: str


class MaintenanceOut(BaseModel):
    """How far the emptying of a cell is.

    ``empty``: the host can be switched off. ``job`` moves the guests, or was the last to do so:
    ``/jobs/{job}`` has what became of each of them.
    """

    cell: str
    enabled: bool
    empty: bool
    job: str | None = None
    progress: int
    guests: list[GuestLeftOut]

    @classmethod
    def of(cls, found: Maintenance) -> MaintenanceOut:
        """The wire's form."""
        return cls(
            cell=found.cell.name,
            enabled=found.cell.enabled,
            empty=not found.guests,
            job=found.job.id if found.job else None,
            progress=found.job.percent if found.job else 100,
            guests=[GuestLeftOut(**vars(guest)) for guest in found.guests],
        )


@router.post("/cells/{cell}/maintenance", response_model=Envelope[MaintenanceOut], status_code=202)
def begin_maintenance(
    cell: str,
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[MaintenanceIn, Body(default_factory=MaintenanceIn)],
) -> Any:
    """Disable a cell and move its guests away. What cannot move stays, with the reason."""
    with cloud.database.transaction() as session:
        begun = maintenance.begin(session, cloud, cell, body.target_cell, requester_of(caller))
    if begun.job is not None:
        name_job(response, begun.job)
    return reply(MaintenanceOut.of(begun))


@router.get("/cells/{cell}/maintenance", response_model=Envelope[MaintenanceOut])
def get_maintenance(cell: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """How far it is, and which guests are still there."""
    with cloud.database.reading() as session:
        return reply(MaintenanceOut.of(maintenance.look(session, cell)))


@router.delete("/cells/{cell}/maintenance", response_model=Envelope[MaintenanceOut])
def end_maintenance(cell: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """The cell may have guests again."""
    with cloud.database.transaction() as session:
        return reply(MaintenanceOut.of(maintenance.end(session, cell)))
