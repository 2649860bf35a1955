# SPDX-License-Identifier: Apache-2.0
"""Uploads over real sockets: slow, cut off, doubled, deleted under way, and very large ones."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from nano_api.main import create_app
from nano_api.settings import Settings
from tests.api.conftest import LoopbackServer, log_in, small_settings, wait_until
from tests.api.image_files import FORM_TYPE, detail, files_of, form, new_image, qcow2, upload

GOOD = qcow2(body=b"x" * (2 << 20))


@pytest.fixture(scope="module")
def settings(shared_settings: Settings) -> Settings:
    """The settings of the server."""
    return shared_settings


@pytest.fixture(scope="module")
def server(shared_app: FastAPI) -> Iterator[LoopbackServer]:
    """One server for all tests here: they bring their own images."""
    with LoopbackServer(shared_app) as running:
        yield running


@pytest.fixture(scope="module")
def http(server: LoopbackServer) -> Iterator[httpx.Client]:
    """An ordinary client of the server, logged in."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}/api/v1", timeout=30) as client:
        client.headers["Nano-Session"] = log_in(client)
        yield client


def begin_upload(
    server: LoopbackServer, http: httpx.Client, image_id: str, length: int, *extra: str
) -> socket.socket:
    """A connection on which the head of an upload was sent."""
    connection = server.connect()
    head = [
        f"POST /api/v1/disk_images/{image_id}/file/ HTTP/1.1",
        "Host: localhost",
        f"Nano-Session: {http.headers['Nano-Session']}",
        f"Content-Type: {FORM_TYPE}",
        f"Content-Length: {length}",
        *extra,
    ]
    connection.sendall("\r\n".join([*head, "", ""]).encode())
    return connection


def answer_on(connection: socket.socket) -> dict[str, Any]:
    """The envelope of the answer on a raw connection."""
    received = b""
    while b"\r\n\r\n" not in received or not received.endswith(b"}"):
        piece = connection.recv(65536)
        assert piece, f"the server closed without an answer: {received!r}"
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    answer: dict[str, Any] = json.loads(body)
    return answer


def test_progress_can_be_watched(server: LoopbackServer, http: httpx.Client) -> None:
    image_id = new_image(http)
    body = form(("image", GOOD))
    with begin_upload(server, http, image_id, len(body)) as connection:
        half = len(body) // 2
        connection.sendall(body[:half])
        wait_until(lambda: detail(http, image_id)["progress"] > 20)
        found = detail(http, image_id)
        assert (found["created"], found["progress"] <= 50) == (False, True)
        connection.sendall(body[half:])
        assert answer_on(connection) == {"error_code": 0, "message": "", "data": ""}
    assert detail(http, image_id)["progress"] == 100


@pytest.mark.parametrize("at", [0, 100, 1_500_000])
@pytest.mark.parametrize("harshly", [False, True])
def test_an_upload_cut_off_leaves_nothing_and_can_be_repeated(
    server: LoopbackServer, http: httpx.Client, settings: Settings, at: int, harshly: bool
) -> None:
    image_id = new_image(http)
    body = form(("image", GOOD))
    connection = begin_upload(server, http, image_id, len(body))
    connection.sendall(body[:at])
    incoming = settings.image_folder / "incoming" / f"{image_id}.part"
    wait_until(incoming.exists)
    if harshly:  # a reset instead of an orderly end
        connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
        )
    connection.close()
    wait_until(lambda: not incoming.exists())
    assert files_of(settings, image_id) == []
    found = detail(http, image_id)
    assert (found["created"], found["progress"]) == (False, 0)
    assert upload(http, image_id, ("image", GOOD))["error_code"] == 0


def test_the_second_of_two_uploads_is_refused(
    server: LoopbackServer, http: httpx.Client, settings: Settings
) -> None:
    image_id = new_image(http)
    body = form(("image", GOOD))
    with begin_upload(server, http, image_id, len(body)) as connection:
        connection.sendall(body[:1000])
        wait_until(lambda: files_of(settings, image_id) != [])
        refused = upload(http, image_id, ("image", GOOD))
        assert refused["error_code"] == 409
        assert "another upload for this image goes on" in refused["message"]
        connection.sendall(body[1000:])
        assert answer_on(connection)["error_code"] == 0
    assert detail(http, image_id)["size"] == len(GOOD)


def test_deleting_the_image_ends_its_upload(
    server: LoopbackServer, http: httpx.Client, settings: Settings
) -> None:
    image_id = new_image(http)
    body = form(("image", GOOD))
    with begin_upload(server, http, image_id, len(body)) as connection:
        connection.sendall(body[:1_200_000])
        wait_until(lambda: detail(http, image_id)["progress"] > 0)
        assert http.delete(f"/disk_images/{image_id}").json()["error_code"] == 0
        connection.sendall(body[1_200_000:])
        answer = answer_on(connection)
    assert answer["error_code"] == 404
    assert files_of(settings, image_id) == []


def test_a_refusal_reaches_a_client_that_is_still_sending(
    http: httpx.Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "max_upload_bytes", 1 << 20)
    image_id = new_image(http)
    refused = upload(http, image_id, ("image", GOOD + b"\0" * (8 << 20)))
    assert (refused["error_code"], "larger than" in refused["message"]) == (400, True)


def test_a_client_that_asks_first_is_refused_before_it_sends(
    server: LoopbackServer, http: httpx.Client
) -> None:
    with begin_upload(server, http, "no-such", 1 << 30, "Expect: 100-continue") as connection:
        assert answer_on(connection)["message"] == "invalid image 'no-such'"


def resident_bytes() -> int:
    """Memory of this process, which the server is a part of."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def test_a_large_upload_takes_little_memory_and_lets_others_through(
    server: LoopbackServer, http: httpx.Client
) -> None:
    image_id = new_image(http)
    size = 200 << 20
    piece = bytes(1 << 18)
    head, tail = form(("format", b"raw"), ("image", b"@")).split(b"@")
    before = resident_bytes()
    peak, slowest = before, 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak, slowest
        while not done.wait(0.02):
            begin = time.monotonic()
            assert detail(http, image_id)["created"] is False
            slowest = max(slowest, time.monotonic() - begin)
            peak = max(peak, resident_bytes())

    length = len(head) + size + len(tail)
    watcher = threading.Thread(target=watch)
    with begin_upload(server, http, image_id, length) as connection:
        watcher.start()
        try:
            connection.sendall(head)
            for _ in range(size // len(piece)):
                connection.sendall(piece)
            connection.sendall(tail)
            answer = answer_on(connection)
        finally:
            done.set()
            watcher.join()
    assert answer["error_code"] == 0
    assert detail(http, image_id)["virtual_size"] == size
    assert peak - before < 48 << 20
    assert slowest < 2


def test_a_stopping_server_leaves_no_half_file(tmp_path: Path) -> None:
    settings = small_settings(tmp_path / "data")
    with LoopbackServer(create_app(settings, background=False)) as server:
        url = f"http://127.0.0.1:{server.port}/api/v1"
        with httpx.Client(base_url=url) as http:
            http.headers["Nano-Session"] = log_in(http)
            image_id = new_image(http)
        connection = begin_upload(server, http, image_id, len(GOOD))
        connection.sendall(form(("image", GOOD))[:100_000])
        wait_until(lambda: files_of(settings, image_id) != [])
    connection.close()
    assert files_of(settings, image_id) == []
