# SPDX-License-Identifier: BSD-2-Clause
"""A file by URL into a partial file: resumable, bounded in memory, in slices of time if wanted."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import asdict, dataclass, replace
from typing import IO, Any, Callable, Dict, Iterator, Optional

from .constants import MIB
from .errors import CloudError, InvalidInput, NotFound, Unreachable

_CHUNK_BYTES = MIB
_TIMEOUT_SECONDS = 30
_PAUSE_SECONDS = 1.0
_MAX_FRUITLESS_ATTEMPTS = 5
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


@dataclass(frozen=True)
class DownloadState:
    """What is known of a download that has begun; kept beside it to resume the same content."""

    url: str
    validator: str = ""
    total_bytes: Optional[int] = None


@dataclass(frozen=True)
class _Stream:
    """An opened source from ``offset`` on. ``resumable``: a later run can go on from the middle."""

    body: IO[bytes]
    offset: int
    state: DownloadState
    resumable: bool


class Download:
    """Fetches ``url`` into ``partial_path``; ``state_path`` remembers what it is part of.

    ``check_room`` is called with the number of bytes still to come, as soon as it is known.
    """

    def __init__(
        self,
        url: str,
        bearer_token: Optional[str],
        partial_path: str,
        state_path: str,
        check_room: Callable[[int], None],
        ca_certificate: Optional[str] = None,
    ) -> None:
        self._url = url
        self._token = bearer_token
        self._partial_path = partial_path
        self._state_path = state_path
        self._check_room = check_room
        self._ca_certificate = ca_certificate

    @property
    def received_bytes(self) -> int:
        """How much of the file is here."""
        try:
            return os.stat(self._partial_path, follow_symlinks=False).st_size
        except FileNotFoundError:
            return 0

    def progress_percent(self) -> int:
        """0 to 99; what is complete has yet to be checked."""
        state = self._load_state()
        if not state or not state.total_bytes:
            return 0
        return min(99, self.received_bytes * 100 // state.total_bytes)

    def run(self, wait_seconds: float) -> bool:
        """Go on downloading; returns whether all is here. ``wait_seconds`` 0: until it is.

        A server that cannot resume is read to the end whatever ``wait_seconds`` says.

        :raises NotFound: the server has no such file.
        :raises Unreachable: the server does not answer, refuses, or breaks off again and again.
        :raises NoSpace: from ``check_room``.
        """
        deadline = time.monotonic() + wait_seconds if wait_seconds else None
        fruitless = 0
        while True:
            before = self.received_bytes
            try:
                if self._run_once(deadline):
                    return True
                if deadline is not None and time.monotonic() >= deadline:
                    return False
                problem = "the connection ended early"
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and error.errno is not None and _is_local(error):
                    raise CloudError(f"cannot write {self._partial_path}: {error}") from error
                problem = str(getattr(error, "reason", error)) or type(error).__name__
            fruitless = fruitless + 1 if self.received_bytes <= before else 0
            if fruitless >= _MAX_FRUITLESS_ATTEMPTS:
                raise Unreachable(f"{_shown(self._url)} cannot be fetched: {problem}")
            time.sleep(_PAUSE_SECONDS)

    def discard(self) -> None:
        """Remove what has been fetched."""
        for path in (self._partial_path, self._state_path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _run_once(self, deadline: Optional[float]) -> bool:
        state = self._load_state()
        if state is None or state.url != self._url:
            self.discard()
            state = DownloadState(self._url)
        offset = self.received_bytes
        if state.total_bytes is not None and offset == state.total_bytes:
            return True
        with self._open(state, offset) as stream:
            self._save_state(stream.state)
            total = stream.state.total_bytes
            if total is not None:
                self._check_room(total - stream.offset)
            finished = self._copy(stream, deadline if stream.resumable else None)
        if finished and total is None:
            # Only the end of the stream tells how long it was.
            self._save_state(replace(stream.state, total_bytes=self.received_bytes))
            return True
        return total is not None and self.received_bytes == total

    def _copy(self, stream: _Stream, deadline: Optional[float]) -> bool:
        """Append the stream; returns whether it came to its end."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._partial_path, flags, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o644)  # qemu-img and QEMU read it as other users.
            file.truncate(stream.offset)
            file.seek(stream.offset)
            while True:
                chunk = stream.body.read(_CHUNK_BYTES)
                if not chunk:
                    break
                if stream.state.total_bytes is None:
                    self._check_room(len(chunk))
                file.write(chunk)
                if deadline is not None and time.monotonic() >= deadline:
                    break
            file.flush()
            os.fsync(descriptor)
        return not chunk

    @contextlib.contextmanager
    def _open(self, state: DownloadState, offset: int) -> Iterator[_Stream]:
        if urllib.parse.urlsplit(self._url).scheme == "file":
            with _open_file(self._url, state, offset) as stream:
                yield stream
        else:
            with self._request(state, offset) as response:
                yield _stream_of(response, state, offset)

    def _request(self, state: DownloadState, offset: int) -> Any:
        request = urllib.request.Request(self._url, headers={"Accept-Encoding": "identity"})
        if self._token:
            # Not repeated to where a redirect leads: the token is meant for this server.
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        if offset:
            request.add_header("Range", f"bytes={offset}-")
            if state.validator:
                request.add_header("If-Range", state.validator)
        opener = urllib.request.build_opener(
            _StrictRedirects(), https_handler(self._ca_certificate)
        )
        try:
            return opener.open(request, timeout=_TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            if 300 <= error.code < 400:
                raise Unreachable(
                    f"{_shown(self._url)} redirects to where is not followed: {error.reason}"
                ) from error
            if error.code == 416:
                self.discard()  # Longer than the file there: it is another file by now.
                raise ConnectionError("the file on the server has changed") from error
            if error.code in (404, 410):
                raise NotFound(
                    f"{_shown(self._url)} does not exist there", url=_shown(self._url)
                ) from error
            if error.code in (401, 403):
                raise Unreachable(
                    f"{_shown(self._url)} is refused (HTTP {error.code}): check bearer_token"
                ) from error
            raise ConnectionError(f"HTTP {error.code} {error.reason}") from error

    def _load_state(self) -> Optional[DownloadState]:
        try:
            with open(self._state_path, encoding="utf-8") as file:
                return DownloadState(**json.load(file))
        except (FileNotFoundError, ValueError, TypeError):
            return None  # None yet, or half-written by a run that was killed: start again.

    def _save_state(self, state: DownloadState) -> None:
        with open(self._state_path, "w", encoding="utf-8") as file:
            json.dump(asdict(state), file)


def https_handler(ca_certificate: Optional[str]) -> urllib.request.HTTPSHandler:
    """For servers whose certificate the host's own authorities have signed, or this one.

    :raises InvalidInput: it is no certificate.
    """
    context = ssl.create_default_context()
    if ca_certificate:
        try:
            context.load_verify_locations(cadata=ca_certificate)
        except ssl.SSLError as error:
            raise InvalidInput(
                f"ca_certificate is no certificate in PEM: {error}", field="ca_certificate"
            ) from error
    return urllib.request.HTTPSHandler(context=context)


class _StrictRedirects(urllib.request.HTTPRedirectHandler):
    """To http and https only, and never from https back to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> Optional[urllib.request.Request]:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme != "https" and not (scheme == "http" and req.type == "http"):
            raise Unreachable(
                f"{_shown(req.full_url)} redirects to {scheme}, which is not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _stream_of(response: Any, state: DownloadState, offset: int) -> _Stream:
    headers: Dict[str, str] = response.headers
    etag = headers.get("ETag", "")
    # A weak tag promises the same meaning, not the same bytes.
    validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
    if offset and response.status == 206:
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        if match is None or match.group(1) is None or int(match.group(1)) != offset:
            raise ConnectionError("the server answered with another range than asked for")
        total = state.total_bytes if match.group(2) == "*" else int(match.group(2))
        return _Stream(response, offset, DownloadState(state.url, validator, total), True)
    length = headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else None
    resumable = headers.get("Accept-Ranges", "").lower() == "bytes" and total is not None
    return _Stream(response, 0, DownloadState(state.url, validator, total), resumable)


@contextlib.contextmanager
def _open_file(url: str, state: DownloadState, offset: int) -> Iterator[_Stream]:
    path = urllib.request.url2pathname(urllib.parse.urlsplit(url).path)
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise NotFound(
            f"{path} cannot be read on this host: {error.strerror}", path=path
        ) from error
    with file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInput(f"{path} is not a regular file", field="url")
        validator = f"{found.st_mtime_ns}-{found.st_size}"
        start = offset if validator == state.validator else 0
        file.seek(start)
        yield _Stream(file, start, DownloadState(url, validator, found.st_size), True)


def _is_local(error: OSError) -> bool:
    """Whether writing failed, not the network."""
    remote = (urllib.error.URLError, ConnectionError, socket.timeout, ssl.SSLError)
    return not isinstance(error, remote)


def _shown(url: str) -> str:
    """The URL without its query, which may carry a signature."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
