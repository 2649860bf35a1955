# SPDX-License-Identifier: Apache-2.0
"""``/logs/``: the operation log."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Query, Request

from nano_api.clock import wire_time
from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.logs import service
from nano_api.logs.schemas import LogBody, LogIds, LogPage
from nano_api.sessions.address import client_address
from nano_api.sessions.dependency import CurrentSession

router = NanoRouter(tags=["logs"])


@router.get("/logs/", response_model=Envelope[LogPage], summary="Query the operation log")
def query_logs(
    cloud: CurrentCloud,
    _caller: CurrentSession,
    limit: Annotated[int, Query(description="1 to 100; anything else means 20")] = 20,
    start: Annotated[int, Query(description="entries to skip")] = 0,
    after: Annotated[str, Query(description="YYYY-MM-DD HH:MM:SS; a day before 'before'")] = "",
    before: Annotated[str, Query(description="YYYY-MM-DD HH:MM:SS; now")] = "",
) -> Any:
    """The newest entries first, with the total up to 1000."""
    with cloud.database.reading() as session:
        found, total = service.query(session, limit=limit, start=start, after=after, before=before)
    logs = [
        {
            "id": entry.id,
            "time": wire_time(entry.at),
            "content": entry.content,
            "source": entry.source,
            "user": entry.user or None,
            "address": entry.address or None,
        }
        for entry in found
    ]
    return reply({"logs": logs, "total": total})


@router.post("/logs/", response_model=Envelope[str], summary="Append to the operation log")
def append_log(
    request: Request,
    cloud: CurrentCloud,
    caller: CurrentSession,
    body: Annotated[LogBody, Body(default_factory=LogBody)],
) -> Any:
    """A client's own words; the entry keeps who posted them."""
    address = client_address(request, cloud.settings)
    with cloud.database.transaction() as session:
        service.append(session, body.content, source="client", user=caller.user, address=address)
    return reply()


@router.delete(
    "/logs/", response_model=Envelope[str], summary="Delete entries of the operation log"
)
def delete_logs(
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: Annotated[LogIds, Body(default_factory=LogIds)],
) -> Any:
    """All of the named entries, or none when one does not exist."""
    with cloud.database.transaction() as session:
        service.remove(session, body.entries)
    return reply()
