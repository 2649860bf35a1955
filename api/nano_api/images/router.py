# SPDX-License-Identifier: Apache-2.0
"""``/disk_images/``: images, and their files going in and out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Body, FastAPI, Query, Request, Security
from fastapi.responses import FileResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from nano_api.cloud import Cloud, CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.errors import NotFound, Unauthenticated
from nano_api.guests.service import guests_being_created_from
from nano_api.images import service
from nano_api.images.schemas import (
    DOWNLOAD_REPLIES,
    UPLOAD_BODY,
    ChangeImageBody,
    CreateImageBody,
    ImageDetail,
    ImageSummary,
    NewImage,
    detail_of,
    summary_of,
)
from nano_api.images.store import ImageStore
from nano_api.images.upload import receive_image, sweep_leftovers
from nano_api.sessions.dependency import CurrentSession, identify, is_ticket


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    await run_in_threadpool(sweep_leftovers, app.state.cloud)
    yield


router = NanoRouter(tags=["disk images"], lifespan=_lifespan)

_ticket_header = HTTPBearer(
    scheme_name="image ticket",
    description="What a cell fetches an image's file with: a ticket for this image, good for a day",
    auto_error=False,
)


@router.get(
    "/disk_image_search/",
    response_model=Envelope[list[ImageSummary]],
    response_model_exclude_none=True,
    summary="Search disk images by tags",
)
def search_images(
    cloud: CurrentCloud,
    caller: CurrentSession,
    tags: Annotated[list[str] | None, Query(description="images with any of these tags")] = None,
) -> Any:
    """The images that the caller may see, by group and name."""
    with cloud.database.reading() as session:
        groups = service.visible_groups(session, caller)
        images = service.search(session, user=caller.user, groups=groups, tags=tags or ())
        return reply([summary_of(image) for image in images])


@router.post("/disk_images/", response_model=Envelope[NewImage], summary="Create a disk image")
def create_image(
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: Annotated[CreateImageBody, Body(default_factory=CreateImageBody)],
) -> Any:
    """An image without a file; upload one to ``/disk_images/{id}/file/`` next."""
    with cloud.database.transaction() as session:
        image = service.create(session, **body.model_dump())
    return reply({"id": image.id})


@router.get(
    "/disk_images/{image_id}",
    response_model=Envelope[ImageDetail],
    response_model_exclude_none=True,
    summary="Get a disk image",
)
def get_image(image_id: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """One image, with the progress of its upload."""
    with cloud.database.reading() as session:
        image = service.get_image(session, image_id)
        received_bytes = ImageStore(cloud.settings.image_folder).received_bytes(image.id)
        return reply(detail_of(image, received_bytes))


@router.put("/disk_images/{image_id}", response_model=Envelope[str], summary="Change a disk image")
def change_image(
    image_id: str,
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: Annotated[ChangeImageBody, Body(default_factory=ChangeImageBody)],
) -> Any:
    """Change what the body gives; empty fields stay as they are."""
    with cloud.database.transaction() as session:
        service.change(session, image_id, **body.model_dump())
    return reply()


@router.delete(
    "/disk_images/{image_id}", response_model=Envelope[str], summary="Delete a disk image"
)
def delete_image(image_id: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """The image and its file; an upload that goes on is ended. Guests keep their disks."""
    with cloud.database.transaction() as session:
        service.delete(session, image_id, in_use=guests_being_created_from)
    ImageStore(cloud.settings.image_folder).remove(image_id)
    return reply()


@router.post(
    "/disk_images/{image_id}/file/",
    response_model=Envelope[str],
    openapi_extra=UPLOAD_BODY,
    summary="Upload a disk image's file",
)
@router.post(
    "/disk_image_files/{image_id}",
    response_model=Envelope[str],
    openapi_extra=UPLOAD_BODY,
    summary="Upload a disk image's file (the document's path)",
)
async def upload_file(
    image_id: str, request: Request, cloud: CurrentCloud, _caller: CurrentSession
) -> Any:
    """Answers when the file is stored and was found to be safe. After a failure, upload again."""
    await receive_image(cloud, image_id, request)
    return reply()


@router.get(
    "/disk_images/{image_id}/file/",
    response_class=FileResponse,
    responses=DOWNLOAD_REPLIES,
    summary="Download a disk image's file",
)
def download_file(
    image_id: str,
    request: Request,
    cloud: CurrentCloud,
    ticket: Annotated[HTTPAuthorizationCredentials | None, Security(_ticket_header)],
) -> FileResponse:
    """The file, or a part of it by ``Range``. Needs a session or a ticket for this image."""
    if ticket is not None and is_ticket(request):
        _check_ticket(cloud, image_id, ticket.credentials)
    else:
        identify(cloud, request)
    with cloud.database.reading() as session:
        image = service.get_ready_image(session, image_id)
        path = ImageStore(cloud.settings.image_folder).path_of(image.id, image.format)
        if not path.is_file():
            raise NotFound(
                f"the file of image '{image.name}' is missing on the server; delete the image and"
                " upload it again",
                image=image_id,
            )
        return FileResponse(
            path,
            media_type="application/octet-stream",
            filename=f"{image.name}.{image.format}",
            headers={"Signature": image.sha1, "ETag": f'"{image.sha256}"'},
        )


def _check_ticket(cloud: Cloud, image_id: str, ticket: str) -> None:
    purpose = service.ticket_purpose(image_id)
    if not cloud.secrets.ticket_is_for(ticket, purpose, service.TICKET_SECONDS):
        raise Unauthenticated(f"the ticket is not valid for image '{image_id[:80]}', or too old")
