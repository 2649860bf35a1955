# SPDX-License-Identifier: Apache-2.0
"""``PUT /guests/{id}/…``: changes of a guest that exists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Body, Response
from pydantic import Field
from sqlalchemy.orm import Session

from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, WireModel, reply
from nano_api.guests import changes, limits
from nano_api.jobs.submitting import requester_of, submit_and_wait
from nano_api.jobs.tables import Job
from nano_api.sessions.dependency import CurrentSession

router = NanoRouter(tags=["guests"])


class CoresIn(WireModel):
    """A new number of cores. ``immediate`` is Nano's and has no effect there either."""

    cores: int = 0
    immediate: bool = False


class MemoryIn(WireModel):
    """A new size of memory."""

    memory: int = Field(0, description="bytes")
    immediate: bool = False


class NameIn(WireModel):
    """The full new name, with the group."""

    name: str = ""


class AutoStartIn(WireModel):
    """Whether to start with the cell."""

    enable: bool = False


class DiskSizeIn(WireModel):
    """A new, larger size."""

    size: int = Field(0, description="bytes")
    immediate: bool = False


@router.put("/guests/{id}/cores", response_model=Envelope[str])
async def change_cores(
    id: str,  # noqa: A002  (the document's name)
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[CoresIn, Body(default_factory=CoresIn)],
) -> Any:
    """Change the number of cores; a running guest has them after its next start."""
    requester = requester_of(caller)

    def submit(rows: Session) -> Job:
        return changes.change_cores(rows, cloud, id, body.cores, requester)

    return await _answer(cloud, response, submit)


@router.put("/guests/{id}/memory", response_model=Envelope[str])
async def change_memory(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[MemoryIn, Body(default_factory=MemoryIn)],
) -> Any:
    """Change the memory size; a running guest has it after its next start."""
    requester = requester_of(caller)

    def submit(rows: Session) -> Job:
        return changes.change_memory(rows, cloud, id, body.memory, requester)

    return await _answer(cloud, response, submit)


@router.put("/guests/{id}/name/", response_model=Envelope[str])
async def rename_guest(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[NameIn, Body(default_factory=NameIn)],
) -> Any:
    """Rename a stopped guest; the new name is complete, with its group."""
    requester = requester_of(caller)

    def submit(rows: Session) -> Job:
        return changes.rename(rows, id, body.name, requester)

    return await _answer(cloud, response, submit)


@router.put("/guests/{id}/auto_start", response_model=Envelope[str])
async def set_auto_start(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[AutoStartIn, Body(default_factory=AutoStartIn)],
) -> Any:
    """Start a guest with its cell, or not."""
    requester = requester_of(caller)

    def submit(rows: Session) -> Job:
        return changes.set_auto_start(rows, id, body.enable, requester)

    return await _answer(cloud, response, submit)


@router.put("/guests/{id}/disks/resize/{disk}", response_model=Envelope[str])
async def grow_disk(
    id: str,  # noqa: A002
    disk: int,
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[DiskSizeIn, Body(default_factory=DiskSizeIn)],
) -> Any:
    """Grow a disk; a guest that runs sees it at once."""
    requester = requester_of(caller)

    def submit(rows: Session) -> Job:
        return changes.grow_disk(rows, cloud, id, disk, body.size, requester)

    return await _answer(cloud, response, submit)


@router.put("/guests/{id}/qos/cpu", response_model=Envelope[str])
async def change_cpu_priority(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[limits.CpuQosIn, Body(default_factory=limits.CpuQosIn)],
) -> Any:
    """Change the guest's CPU priority, also while it runs."""
    requester, wanted = requester_of(caller), limits.cpu_limit(body.priority)
    return await _answer(
        cloud, response, lambda rows: changes.change_limits(rows, id, wanted, requester)
    )


@router.put("/guests/{id}/qos/disk", response_model=Envelope[str])
async def change_disk_limits(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[limits.DiskQosIn, Body(default_factory=limits.DiskQosIn)],
) -> Any:
    """Change what the guest's disks may do, also while it runs; what is left out is unlimited."""
    requester, wanted = requester_of(caller), limits.disk_limits(body)
    return await _answer(
        cloud, response, lambda rows: changes.change_limits(rows, id, wanted, requester)
    )


@router.put("/guests/{id}/qos/network", response_model=Envelope[str])
async def change_network_limits(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[limits.NetworkQosIn, Body(default_factory=limits.NetworkQosIn)],
) -> Any:
    """Change what the network card may do, also while it runs; left out is unlimited."""
    requester, wanted = requester_of(caller), limits.network_limits(body)
    return await _answer(
        cloud, response, lambda rows: changes.change_limits(rows, id, wanted, requester)
    )


@router.put("/guests/{id}/monitor/secret", response_model=Envelope[str])
async def renew_monitor_secret(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
) -> Any:
    """Give the guest's display a new password; GET the guest to read it."""
    requester = requester_of(caller)

    def submit(rows: Session) -> Job:
        return changes.renew_monitor_secret(rows, cloud, id, requester)

    return await _answer(cloud, response, submit)


async def _answer(cloud: CurrentCloud, response: Response, submit: Callable[[Session], Job]) -> Any:
    await submit_and_wait(cloud, response, submit)
    return reply()
