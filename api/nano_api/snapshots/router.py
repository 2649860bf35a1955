# SPDX-License-Identifier: Apache-2.0
"""``/instances/{id}/snapshots/``"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Response
from pydantic import BaseModel, Field

from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, WireModel, reply
from nano_api.jobs.submitting import requester_of, submit_and_wait
from nano_api.sessions.dependency import CurrentSession
from nano_api.snapshots import service

router = NanoRouter(tags=["snapshots"])


class SnapshotNode(BaseModel):
    """A snapshot's place in the tree."""

    is_root: bool
    is_current: bool
    backing: str | None = Field(None, description="the snapshot that it was made from")


class SnapshotOut(BaseModel):
    """One snapshot."""

    running: bool = Field(description="whether the memory was kept too")
    description: str | None = None
    create_time: str


class SnapshotIn(WireModel):
    """A snapshot to take."""

    name: str = ""
    description: str = ""
    memory: bool = Field(False, description="keep the memory of a running guest (beyond Nano)")


class RestoreIn(WireModel):
    """Which snapshot to go back to."""

    target: str = ""


@router.get("/instances/{id}/snapshots/", response_model=Envelope[dict[str, SnapshotNode]])
def list_snapshots(
    id: str,  # noqa: A002  (the document's name)
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """The tree of a guest's snapshots, by name."""
    with cloud.database.reading() as session:
        found = service.all_of(session, id)
    return reply({each["name"]: SnapshotNode(**_node(each)) for each in found})


@router.post("/instances/{id}/snapshots/", response_model=Envelope[str])
async def create_snapshot(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[SnapshotIn, Body(default_factory=SnapshotIn)],
) -> Any:
    """Take a snapshot. Disks of a running guest are then as after a power failure."""
    requester = requester_of(caller)
    await submit_and_wait(
        cloud,
        response,
        lambda rows: service.create(rows, id, body.name, body.description, body.memory, requester),
    )
    return reply()


@router.put("/instances/{id}/snapshots/", response_model=Envelope[str])
async def restore_snapshot(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[RestoreIn, Body(default_factory=RestoreIn)],
) -> Any:
    """Bring a stopped guest back to a snapshot; what was written since then is lost."""
    requester = requester_of(caller)
    await submit_and_wait(
        cloud, response, lambda rows: service.restore(rows, id, body.target, requester)
    )
    return reply()


@router.get("/instances/{id}/snapshots/{name}", response_model=Envelope[SnapshotOut])
def get_snapshot(
    id: str,  # noqa: A002
    name: str,
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """One snapshot."""
    with cloud.database.reading() as session:
        found = service.get(session, id, name)
    return reply(
        SnapshotOut(
            running=bool(found["running"]),
            description=found["description"] or None,
            create_time=service.wire_time_of(found),
        )
    )


@router.delete("/instances/{id}/snapshots/{name}", response_model=Envelope[str])
async def delete_snapshot(
    id: str,  # noqa: A002
    name: str,
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
) -> Any:
    """Delete a snapshot; those that were made from it keep all their data."""
    requester = requester_of(caller)
    await submit_and_wait(cloud, response, lambda rows: service.delete(rows, id, name, requester))
    return reply()


def _node(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("is_root", "is_current", "backing")}
