# SPDX-License-Identifier: Apache-2.0
"""``/guests/{id}/``: shrink a disk, reset the system, the administrator's account."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Response
from pydantic import BaseModel, Field

from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, WireModel, reply
from nano_api.guests import service, system
from nano_api.jobs.submitting import name_job, requester_of, submit_and_wait
from nano_api.sessions.dependency import CurrentSession

router = NanoRouter(tags=["guests"])


class ShrinkIn(WireModel):
    """``immediate`` is Nano's and has no effect there either."""

    immediate: bool = False


class SystemIn(WireModel):
    """The image that the system disk shall be made from."""

    from_image: str = Field("", description="id of a disk image")


class AccountIn(WireModel):
    """Whose password; empty: the administrator's, and a new one."""

    user: str = ""
    password: str = Field("", description="empty: a new one is made")


class AccountOut(BaseModel):
    """An account inside the guest; what is not known is left out."""

    user: str | None = None
    password: str | None = None


@router.put("/guests/{id}/disks/shrink/{disk}", response_model=Envelope[str])
async def shrink_disk(
    id: str,  # noqa: A002  (the document's name)
    disk: int,
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[ShrinkIn, Body(default_factory=ShrinkIn)],  # noqa: ARG001
) -> Any:
    """Give back the space that a stopped guest's disk does not use; its size stays."""
    requester = requester_of(caller)
    await submit_and_wait(
        cloud, response, lambda rows: system.shrink_disk(rows, id, disk, requester)
    )
    return reply()


@router.put("/guests/{id}/system/", response_model=Envelope[str])
def reset_system(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[SystemIn, Body(default_factory=SystemIn)],
) -> Any:
    """Make a stopped guest's system disk anew. Answers at once; GET the guest for its progress."""
    with cloud.database.transaction() as session:
        job = system.reset(session, id, body.from_image, requester_of(caller))
    name_job(response, job)
    return reply()


@router.get(
    "/guests/{id}/auth",
    response_model=Envelope[AccountOut],
    response_model_exclude_none=True,
)
def get_account(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """The administrator's name, and the password that was last set through this API."""
    with cloud.database.reading() as session:
        user, password = system.account(cloud, service.get(session, id))
    return reply(AccountOut(user=user, password=password))


@router.put("/guests/{id}/auth", response_model=Envelope[AccountOut])
async def set_password(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[AccountIn, Body(default_factory=AccountIn)],
) -> Any:
    """Set a password inside a running guest, by its agent; answers when it is set."""
    requester = requester_of(caller)
    job = await submit_and_wait(
        cloud,
        response,
        lambda rows: system.set_password(rows, cloud, id, body.user, body.password, requester),
    )
    password = cloud.secrets.open(job.parameters["password_sealed"])
    return reply(AccountOut(user=job.parameters["user"], password=password))
