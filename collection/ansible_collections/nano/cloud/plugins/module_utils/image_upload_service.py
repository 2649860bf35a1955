# SPDX-License-Identifier: BSD-2-Clause
"""A cell's image on its way to the service's store: one form with one file, sent beside us."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.error
import urllib.request
import uuid
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from .constants import MIB
from .detached_run import DetachedRun, RunFailed
from .differences import Differences
from .errors import Busy, CloudError, NotFound, Unreachable
from .image_download import https_handler
from .image_lock import image_lock
from .image_service import ImageCache, ImageOutcome
from .image_upload_spec import UploadRequest
from .libvirt_host import LibvirtHost

# The server answers when it has looked at the whole file.
_TIMEOUT_SECONDS = 600
_HAS_NO_FILE = 409
_SENT_PERCENT = 95

Report = Callable[[int], None]


def ensure_uploaded(
    host: LibvirtHost, request: UploadRequest, check_mode: bool, lock_timeout_seconds: float
) -> ImageOutcome:
    """Have the image's file in the store.

    :raises NotFound: the cell has no such image.
    :raises Unreachable: the server does not answer, or refuses.
    """
    image = request.image
    run = DetachedRun("upload", f"{image.pool}-{image.id}")
    facts = {"url": request.url}
    status = run.status()
    if status is not None and (status.state == "running" or status.is_fresh):
        if status.facts == facts and not check_mode:
            return _wait(host, run, request)
        if status.state == "running":
            raise Busy(f"image {image.id} is being uploaded: try again later", image=image.id)
    cache = _cache(host, request)
    record = cache.verified_record(keep=not check_mode)
    if _is_there(request, record.checksum):
        return ImageOutcome(Differences({}, {}), cache.values(record), 100)
    if check_mode:
        return ImageOutcome(_differences(request), cache.values(record), 0)
    run.start(_work(host.uri, request, lock_timeout_seconds), facts)
    return _wait(host, run, request)


def _cache(host: LibvirtHost, request: UploadRequest) -> ImageCache:
    cache = ImageCache(host, request.image)
    if not os.path.exists(cache.path):
        raise NotFound(
            f"image {request.image.id} is not in pool {request.image.pool} of this host",
            image=request.image.id,
        )
    return cache


def _differences(request: UploadRequest) -> Differences:
    return Differences({}, {"id": request.image.id, "uploaded_to": request.url})


def _wait(host: LibvirtHost, run: DetachedRun, request: UploadRequest) -> ImageOutcome:
    status = run.wait(request.wait_seconds)
    if status is not None and status.state in ("failed", "killed"):
        run.forget()
        raise RunFailed(status)
    cache = _cache(host, request)
    values = cache.values(cache.known_record())
    if status is not None and status.state == "running":
        return ImageOutcome(_differences(request), values, status.percent)
    run.forget()
    return ImageOutcome(_differences(request), values, 100)


def _work(
    uri: str, request: UploadRequest, lock_timeout_seconds: float
) -> Callable[[Report], None]:
    def work(report: Report) -> None:
        # Connections of the process that forked us cannot be used here.
        with contextlib.ExitStack() as stack:
            host = stack.enter_context(LibvirtHost.open(uri))
            stack.enter_context(
                image_lock(
                    host,
                    request.image.pool,
                    request.image.id,
                    lock_timeout_seconds,
                    shared=True,
                )
            )
            _send(request, _cache(host, request).path, report)

    return work


def _send(request: UploadRequest, path: str, report: Report) -> None:
    boundary = uuid.uuid4().hex
    head, tail = _form(request, boundary)
    size = os.stat(path).st_size
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(head) + size + len(tail)),
    }
    code, message = _ask(request, "POST", headers, _body(path, head, tail, size, report))
    if code:
        raise CloudError(
            f"the server refused image {request.image.id}: {message}",
            image=request.image.id,
            error_code=code,
        )


def _form(request: UploadRequest, boundary: str) -> Tuple[bytes, bytes]:
    """What stands before the file, and after it. The format comes first: the file is checked."""
    disposition = "Content-Disposition: form-data; name="
    lines = [
        f"--{boundary}",
        f'{disposition}"format"',
        "",
        request.image.format,
        f"--{boundary}",
        f'{disposition}"image"; filename="{request.image.file_name}"',
        "Content-Type: application/octet-stream",
        "",
        "",
    ]
    return "\r\n".join(lines).encode(), f"\r\n--{boundary}--\r\n".encode()


def _body(path: str, head: bytes, tail: bytes, size: int, report: Report) -> Iterator[bytes]:
    yield head
    sent = 0
    with open(path, "rb") as file:
        while True:
            piece = file.read(MIB)
            if not piece:
                break
            yield piece
            sent += len(piece)
            report(sent * _SENT_PERCENT // max(size, 1))
    yield tail


def _is_there(request: UploadRequest, checksum: str) -> bool:
    """Whether the store has this very file: its tag is the file's SHA-256.

    :raises CloudError: it has another one.
    """
    tags: List[str] = []
    code, message = _ask(request, "GET", {"Range": "bytes=0-0"}, None, tags)
    if code == _HAS_NO_FILE:
        return False
    if code:
        raise Unreachable(f"{request.url} is refused: {message}; check bearer_token")
    wanted = checksum.partition(":")[2]
    if tags and tags[0].strip('"') != wanted:
        raise CloudError(
            f"the store has another file for image {request.image.id}: use another id",
            image=request.image.id,
        )
    return True


def _ask(
    request: UploadRequest,
    method: str,
    headers: Dict[str, str],
    body: Any,
    tags: Optional[List[str]] = None,
) -> Tuple[int, str]:
    """(error code, message) of the reply's envelope; (0, "") of a file. Redirects are refused."""
    asked = urllib.request.Request(request.url, data=body, headers=headers, method=method)
    asked.add_unredirected_header("Authorization", f"Bearer {request.bearer_token}")
    opener = urllib.request.build_opener(_NoRedirects(), https_handler(request.ca_certificate))
    try:
        with opener.open(asked, timeout=_TIMEOUT_SECONDS) as reply:
            if tags is not None:
                tags.append(reply.headers.get("ETag", ""))
            if not reply.headers.get("Content-Type", "").startswith("application/json"):
                return 0, ""
            told = json.loads(reply.read(MIB))
            return int(told["error_code"]), str(told["message"])
    except urllib.error.HTTPError as error:
        raise Unreachable(f"{request.url} answers HTTP {error.code} {error.reason}") from error
    except (OSError, ValueError, KeyError) as error:
        raise Unreachable(f"{request.url} does not answer as it should: {error}") from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The file is for this server only."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None
