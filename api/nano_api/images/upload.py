# SPDX-License-Identifier: Apache-2.0
"""An upload from the first byte to the finished image, in bounded memory.

The event loop only hands the body on; parsing, hashing, writing and inspecting happen in threads,
a megabyte at a time. Whatever ends an upload early leaves the image as it was: without a file,
ready for the next try.
"""

from __future__ import annotations

import asyncio

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from nano_api.cloud import Cloud
from nano_api.errors import InvalidInput, NoAnswerInTime, NoSpace
from nano_api.images import service
from nano_api.images.form import UploadForm, boundary_of
from nano_api.images.inspection import FORMATS, inspect
from nano_api.images.store import ImageStore, IncomingFile
from nano_api.images.tables import Kind

log = structlog.get_logger(__name__)

_BATCH_BYTES = 1 << 20
# A client that lost its network without a word would hold the image's lock for ever.
_SILENCE_SECONDS = 120.0
# What a form may have around its file.
_FORM_BYTES = 64 << 10


async def receive_image(
    cloud: Cloud, kind: Kind, image_id: str, request: Request, *, by_cell: bool = False
) -> None:
    """Read the form of an upload and make its file the image's.

    :raises NotFound: there is no such image, or it was deleted meanwhile
    :raises Conflict: it has a file already
    :raises Busy: another upload for it goes on
    :raises InvalidInput: the form or a field is wrong, it was cut off, the file is too large
    :raises UnsafeImage: the file is not what it was declared to be, or reaches outside itself
    :raises NoSpace: the disk is full
    :raises NoAnswerInTime: the client fell silent
    """
    boundary = boundary_of(request.headers.get("content-type", ""))
    file = await run_in_threadpool(_begin, cloud, kind, image_id, _content_length(request), by_cell)
    try:
        form = UploadForm(boundary, file, cloud.settings.max_upload_bytes, FORMATS[kind])
        await _feed(form, request)
        await run_in_threadpool(_finish, cloud, kind, image_id, form, file)
    except ClientDisconnect as error:
        log.info("upload cut off", image=image_id, received_bytes=file.size_bytes)
        raise InvalidInput("the upload was cut off: the client has gone") from error
    except asyncio.CancelledError:
        file.discard()  # the server stops: an await may not come back, and a thread not start
        raise
    finally:
        await run_in_threadpool(file.discard)


def _content_length(request: Request) -> int:
    text = request.headers.get("content-length", "")
    return int(text) if text.isdecimal() else 0


def _begin(cloud: Cloud, kind: Kind, image_id: str, body_bytes: int, by_cell: bool) -> IncomingFile:
    limit = cloud.settings.max_upload_bytes
    store = ImageStore(cloud.settings.image_folder)
    with cloud.database.reading() as session:  # so that an unknown id never becomes a file
        service.get_image(session, kind, image_id)
    if body_bytes > limit + _FORM_BYTES:
        raise InvalidInput(f"the file is larger than the {limit} bytes that an upload may have")
    if body_bytes > store.free_bytes() + _FORM_BYTES:
        raise NoSpace(
            f"the server has {store.free_bytes()} bytes left, the upload needs {body_bytes};"
            " free some space, then upload it again"
        )
    file = store.open_incoming(image_id)
    try:
        with cloud.database.transaction() as session:
            service.begin_upload(session, kind, image_id, body_bytes, by_cell=by_cell)
    except BaseException:
        file.discard()
        raise
    return file


async def _feed(form: UploadForm, request: Request) -> None:
    batch = bytearray()
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                chunk = await anext(stream, None)
        except TimeoutError as error:
            raise NoAnswerInTime(
                f"the client sent nothing for {_SILENCE_SECONDS:.0f} s; upload the file again"
            ) from error
        if chunk is None:
            break
        batch += chunk
        if len(batch) >= _BATCH_BYTES:
            await run_in_threadpool(form.feed, bytes(batch))
            batch.clear()
    await run_in_threadpool(form.feed, bytes(batch))


def _finish(cloud: Cloud, kind: Kind, image_id: str, form: UploadForm, file: IncomingFile) -> None:
    form.finish()
    image_format = form.image_format
    file.flush_to_disk()
    virtual_size_bytes = inspect(file.path, image_format, cloud.settings.max_disk_bytes)
    target = ImageStore(cloud.settings.image_folder).path_of(image_id, image_format)
    # The rename is inside the transaction: a crash before the commit leaves a file without a row,
    # which the next start sweeps away; never a row without a file.
    with cloud.database.transaction() as session:
        service.finish_upload(
            session,
            kind,
            image_id,
            image_format=image_format,
            size_bytes=file.size_bytes,
            virtual_size_bytes=virtual_size_bytes,
            sha1=file.sha1,
            sha256=file.sha256,
        )
        file.publish(target)
    log.info("image uploaded", image=image_id, format=image_format, size_bytes=file.size_bytes)


def sweep_leftovers(cloud: Cloud) -> None:
    """At start: remove the files that crashes left behind, of uploads that nobody continues."""

    def is_finished(image_id: str, image_format: str) -> bool:
        with cloud.database.reading() as session:
            return service.has_file(session, image_id, image_format)

    removed = ImageStore(cloud.settings.image_folder).sweep(is_finished)
    if removed:
        log.info("leftovers of images removed", files=removed)
