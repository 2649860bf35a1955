# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that are made of guests, listed and sent: options, refusals, what a server is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import image_upload_service as uploading
from ansible_collections.nano.cloud.plugins.module_utils import volume_xml
from ansible_collections.nano.cloud.plugins.module_utils.errors import CloudError, InvalidInput
from ansible_collections.nano.cloud.plugins.module_utils.guest_service import ensure_present
from ansible_collections.nano.cloud.plugins.module_utils.image_capture_service import (
    ensure_captured,
)
from ansible_collections.nano.cloud.plugins.module_utils.image_capture_spec import (
    CAPTURE_ARGUMENTS,
    capture_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.image_reader import read_images
from ansible_collections.nano.cloud.plugins.module_utils.image_service import ensure_image_present
from ansible_collections.nano.cloud.plugins.module_utils.image_spec import ImageRequest
from ansible_collections.nano.cloud.plugins.module_utils.image_upload_spec import (
    UPLOAD_ARGUMENTS,
    UploadRequest,
    upload_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost

from .guests import GUEST_ID, MIB, new_request

TICKET = "a-ticket"


def defaults(arguments: dict[str, dict[str, Any]], **options: Any) -> dict[str, Any]:
    return {**{name: each.get("default") for name, each in arguments.items()}, **options}


def capture(**options: Any) -> dict[str, Any]:
    return defaults(CAPTURE_ARGUMENTS, **{"id": "shot", "guest_id": GUEST_ID, **options})


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"id": "../x"}, "id"),
        ({"guest_id": None}, "guest_id"),
        ({"guest_id": "x"}, "guest_id"),
        ({"disk": 15}, "disk"),
        ({"format": "raw", "compress": True}, "compress"),
        ({"snapshot": ""}, "snapshot"),
        ({"wait_seconds": -1}, "wait_seconds"),
    ],
)
def test_captures_that_cannot_work(options: dict[str, Any], field: str) -> None:
    assert capture_request(capture()).image.file_name == "shot.qcow2"
    with pytest.raises(InvalidInput) as refused:
        capture_request(capture(**options))
    assert refused.value.context == {"field": field}


def test_captures_are_refused(host: LibvirtHost) -> None:
    def refused(code: str, message: str, **options: Any) -> None:
        with pytest.raises(CloudError, match=message) as error:
            ensure_captured(host, capture_request(capture(**options)), True, 1)
        assert error.value.code == code

    refused("not_found", "does not exist on this host")
    ensure_present(host, new_request(disks=[{"size_bytes": MIB}]), False, 1)
    refused("not_found", "has no disk 3", disk=3)
    refused("not_found", "has no snapshot one", snapshot="one")
    refused("unsupported", "on the libvirt host itself")
    domain = host.find_domain(GUEST_ID, None)
    assert domain is not None
    domain.start()
    refused("conflict", "stop it first, or name one of its snapshots")


@pytest.fixture
def blank(host: LibvirtHost, tmp_path: Path) -> ImageRequest:
    source = tmp_path / "disk.raw"
    source.write_bytes(b"\0" * MIB)
    request = ImageRequest("blank", "raw", "nano-images", url=source.as_uri())
    ensure_image_present(host, request, False, 1)
    pool = host.find_pool("nano-images")
    assert pool is not None
    # This driver looks at no files.
    pool.create_volume(volume_xml.build(volume_xml.VolumeSpec(request.file_name, MIB, "raw")))
    return request


def test_images_are_listed(host: LibvirtHost, blank: ImageRequest) -> None:
    (shown,) = read_images(host, "nano-images")
    assert (shown["id"], shown["format"]) == (blank.id, "raw")
    assert shown["virtual_size_bytes"] == shown["size_bytes"] == MIB
    assert shown["checksum"].startswith("sha256:")
    assert shown["dependents"] == []
    assert read_images(host, "nano-images", "none") == []
    with pytest.raises(CloudError, match="pool nowhere does not exist"):
        read_images(host, "nowhere")


class Store(ThreadingHTTPServer):
    """A server that answers as it is told, and keeps what it got."""

    code, tag = 0, ""
    got = b""


class _Handler(BaseHTTPRequestHandler):
    server: Store

    def do_GET(self) -> None:
        self.send_response(206 if self.server.tag else 200)
        self.send_header("ETag", self.server.tag)
        kind = "application/octet-stream" if self.server.tag else "application/json"
        self.send_header("Content-Type", kind)
        self.end_headers()
        if not self.server.tag:
            self._tell()

    def do_POST(self) -> None:
        self.server.got = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {TICKET}":
            self.server.code = 401
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self._tell()

    def _tell(self) -> None:
        told = {"error_code": self.server.code, "message": "as told", "data": ""}
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def upload(store: Store, **options: Any) -> UploadRequest:
    url = f"http://127.0.0.1:{store.server_port}/file/"
    given = {"id": "blank", "format": "raw", "url": url, "bearer_token": TICKET}
    return upload_request(defaults(UPLOAD_ARGUMENTS, **{**given, **options}))


def test_a_file_is_sent_as_a_form(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "blank.raw"
    file.write_bytes(b"x" * (3 * MIB + 7))
    seen: list[int] = []
    uploading._send(upload(store), str(file), seen.append)
    assert seen == sorted(seen)
    head, _empty, rest = store.got.partition(b"octet-stream\r\n\r\n")
    assert b'name="format"\r\n\r\nraw\r\n' in head
    assert b'name="image"; filename="blank.raw"' in head
    assert rest.startswith(b"x" * (3 * MIB + 7) + b"\r\n--")
    with pytest.raises(CloudError, match="the server refused image blank: as told"):
        uploading._send(upload(store, bearer_token="another"), str(file), seen.append)


def test_what_the_store_has_is_not_sent_again(store: Store) -> None:
    store.code = 409
    assert not uploading._is_there(upload(store), "sha256:ab")
    store.code = 401
    with pytest.raises(CloudError, match="check bearer_token"):
        uploading._is_there(upload(store), "sha256:ab")
    store.tag = '"ab"'
    assert uploading._is_there(upload(store), "sha256:ab")
    with pytest.raises(CloudError, match="another file"):
        uploading._is_there(upload(store), "sha256:cd")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "http:///x"}, "url"),
        ({"url": "http://a:b@c/x"}, "url"),
        ({"id": "a/b"}, "id"),
        ({"wait_seconds": -1}, "wait_seconds"),
    ],
)
def test_uploads_that_cannot_work(store: Store, options: dict[str, Any], field: str) -> None:
    assert TICKET not in repr(upload(store))
    with pytest.raises(InvalidInput) as refused:
        upload(store, **options)
    assert refused.value.context == {"field": field}
