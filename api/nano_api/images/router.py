# SPDX-License-Identifier: Apache-2.0
"""``/disk_images/`` and ``/media_images/``: images, and their files going in and out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Query, Request, Response, Security
from fastapi.responses import FileResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from nano_api.cloud import Cloud, CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.errors import NotFound, Unauthenticated
from nano_api.guests.service import guests_being_created_from
from nano_api.images import capturing, service
from nano_api.images.importing import import_files
from nano_api.images.schemas import (
    DOWNLOAD_REPLIES,
    ChangeImageBody,
    CreateImageBody,
    ImageDetail,
    ImageSummary,
    NewImage,
    OwnerBody,
    detail_of,
    summary_of,
    upload_body,
)
from nano_api.images.store import ImageStore
from nano_api.images.tables import Kind
from nano_api.images.upload import receive_image
from nano_api.jobs.submitting import name_job, requester_of
from nano_api.sessions.dependency import CurrentSession, identify, is_ticket

disk_images = NanoRouter(tags=["disk images"])
media_images = NanoRouter(tags=["media images"])

_ticket_header = HTTPBearer(
    scheme_name="image ticket",
    description="What a cell fetches an image's file with: a ticket for this image, good for a day",
    auto_error=False,
)


def _add_routes(router: NanoRouter, kind: Kind) -> None:
    """The endpoints that both kinds have; the document's names for them differ by the kind only."""
    noun, what = f"{kind}_image", f"{kind} image"
    one = f"/{noun}s/{{image_id}}"

    @router.get(
        f"/{noun}_search/",
        response_model=Envelope[list[ImageSummary]],
        response_model_exclude_none=True,
        summary=f"Search {what}s by tags",
    )
    def search_images(
        cloud: CurrentCloud,
        caller: CurrentSession,
        tags: Annotated[list[str] | None, Query(description="any of these tags")] = None,
    ) -> Any:
        """The images that the caller may see, by group and name."""
        with cloud.database.reading() as session:
            groups = service.visible_groups(session, kind, caller)
            images = service.search(session, kind, user=caller.user, groups=groups, tags=tags or ())
            return reply([summary_of(image) for image in images])

    @router.post(f"/{noun}s/", response_model=Envelope[NewImage], summary=f"Create a {what}")
    def create_image(
        cloud: CurrentCloud,
        caller: CurrentSession,
        response: Response,
        body: Annotated[CreateImageBody, Body(default_factory=CreateImageBody)],
    ) -> Any:
        """An image without a file; upload one to its ``file/`` next.

        Of a disk image with ``guest`` the file is made of that guest's system disk: 202, and GET
        tells the progress.
        """
        with cloud.database.transaction() as session:
            image = service.create(session, kind, **body.model_dump(exclude={"guest"}))
            if body.guest:
                job = capturing.capture(session, image, body.guest, requester_of(caller))
                name_job(response, job)
                response.status_code = 202
        return reply({"id": image.id})

    @router.patch(f"/{noun}s/", response_model=Envelope[str], summary=f"Import {what}s")
    def synchronize(
        cloud: CurrentCloud,
        _caller: CurrentSession,
        body: Annotated[OwnerBody, Body(default_factory=OwnerBody)],
    ) -> Any:
        """Take the files that lie in the server's import folder; forget images without a file."""
        import_files(cloud, kind, owner=body.owner, group=body.group)
        return reply()

    @router.get(
        one,
        response_model=Envelope[ImageDetail],
        response_model_exclude_none=True,
        summary=f"Get a {what}",
    )
    def get_image(image_id: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
        """One image, with the progress of its upload."""
        with cloud.database.reading() as session:
            image = service.get_image(session, kind, image_id)
        if image.error_message is not None:
            with cloud.database.transaction() as session:
                failure = service.take_failure(session, image_id)
            if failure is not None:
                raise failure
        with cloud.database.reading() as session:
            received_bytes = ImageStore(cloud.settings.image_folder).received_bytes(image.id)
            return reply(detail_of(image, received_bytes, capturing.percent_of(session, image)))

    @router.put(one, response_model=Envelope[str], summary=f"Change a {what}")
    def change_image(
        image_id: str,
        cloud: CurrentCloud,
        _caller: CurrentSession,
        body: Annotated[ChangeImageBody, Body(default_factory=ChangeImageBody)],
    ) -> Any:
        """Change what the body gives; empty fields stay as they are."""
        with cloud.database.transaction() as session:
            service.change(session, kind, image_id, **body.model_dump())
        return reply()

    @router.delete(one, response_model=Envelope[str], summary=f"Delete a {what}")
    def delete_image(image_id: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
        """The image and its file; an upload that goes on is ended. Guests keep their disks."""
        with cloud.database.transaction() as session:
            service.delete(session, kind, image_id, in_use=guests_being_created_from)
        ImageStore(cloud.settings.image_folder).remove(image_id)
        return reply()

    async def upload_file(
        image_id: str,
        request: Request,
        cloud: CurrentCloud,
        ticket: Annotated[HTTPAuthorizationCredentials | None, Security(_ticket_header)],
    ) -> Any:
        """Answers when the file is stored and was found to be safe. After a failure, repeat it."""
        by_cell = ticket is not None and is_ticket(request)
        if ticket is not None and by_cell:
            _check_ticket(cloud, image_id, ticket.credentials, upload=True)
        else:
            await run_in_threadpool(identify, cloud, request)
        await receive_image(cloud, kind, image_id, request, by_cell=by_cell)
        return reply()

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
        return _file_of(cloud, kind, image_id)

    for path, note in ((f"{one}/file/", ""), (f"/{noun}_files/{{image_id}}", " (document's path)")):
        router.post(
            path,
            response_model=Envelope[str],
            openapi_extra=upload_body(kind),
            summary=f"Upload a {what}'s file{note}",
        )(upload_file)
        if kind == "media" or not note:  # the document has no such path for disk images
            router.get(
                path,
                response_class=FileResponse,
                responses=DOWNLOAD_REPLIES,
                summary=f"Download a {what}'s file{note}",
            )(download_file)


_add_routes(disk_images, "disk")
_add_routes(media_images, "media")


@media_images.get(
    "/media_images/",
    response_model=Envelope[list[ImageSummary]],
    response_model_exclude_none=True,
    summary="List media images",
)
def list_media_images(cloud: CurrentCloud, caller: CurrentSession) -> Any:
    """The images that the caller may see, as the search finds them."""
    with cloud.database.reading() as session:
        groups = service.visible_groups(session, "media", caller)
        images = service.search(session, "media", user=caller.user, groups=groups)
        return reply([summary_of(image) for image in images])


def _file_of(cloud: Cloud, kind: Kind, image_id: str) -> FileResponse:
    with cloud.database.reading() as session:
        image = service.get_ready_image(session, kind, image_id)
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
            # An encoding of its own, so that nothing tries to compress a disk.
            headers={
                "Signature": image.sha1,
                "ETag": f'"{image.sha256}"',
                "Content-Encoding": "identity",
            },
        )


def _check_ticket(cloud: Cloud, image_id: str, ticket: str, *, upload: bool = False) -> None:
    """A ticket for sending a file is good for looking at what was sent, too."""
    purposes = [service.upload_ticket_purpose(image_id)]
    if not upload:
        purposes.append(service.ticket_purpose(image_id))
    age = service.TICKET_SECONDS
    if not any(cloud.secrets.ticket_is_for(ticket, each, age) for each in purposes):
        raise Unauthenticated(f"the ticket is not valid for image '{image_id[:80]}', or too old")
