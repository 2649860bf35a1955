# SPDX-License-Identifier: Apache-2.0
"""Downloads: for people with a session, and for cells with a ticket."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nano_api.images.service import ticket_purpose
from nano_api.settings import Settings
from tests.api.image_files import detail, new_image, qcow2, sha1, sha256, upload

CONTENT = qcow2(body=bytes(range(256)) * 300)


@pytest.fixture(scope="module")
def client(shared_client: TestClient) -> TestClient:
    """All tests here bring their own images."""
    return shared_client


@pytest.fixture
def stranger(client: TestClient) -> TestClient:
    """A client of the same server without a session."""
    return TestClient(client.app, base_url=str(client.base_url))


@pytest.fixture
def image_id(client: TestClient) -> str:
    """An image that has its file."""
    image_id = new_image(client)
    assert upload(client, image_id, ("image", CONTENT))["error_code"] == 0
    return image_id


def test_a_session_downloads_the_whole_file(client: TestClient, image_id: str) -> None:
    response = client.get(f"/disk_images/{image_id}/file/")
    assert response.status_code == 200
    assert response.content == CONTENT
    assert response.headers["Signature"] == sha1(CONTENT)
    assert response.headers["ETag"] == f'"{sha256(CONTENT)}"'
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Length"] == str(len(CONTENT))
    name = detail(client, image_id)["name"]
    assert response.headers["Content-Disposition"] == f'attachment; filename="{name}.qcow2"'


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("0-99", 0, 100),
        ("1000-", 1000, None),
        ("-50", -50, None),
        ("262100-99999999", 262100, None),
    ],
)
def test_a_download_can_be_resumed(
    client: TestClient, image_id: str, wanted: str, start: int, stop: int | None
) -> None:
    path = f"/disk_images/{image_id}/file/"
    etag = client.get(path).headers["ETag"]
    headers = {"Range": f"bytes={wanted}", "If-Range": etag}
    response = client.get(path, headers=headers)
    assert response.status_code == 206
    assert response.content == CONTENT[start:stop]
    assert response.headers["Content-Range"].endswith(f"/{len(CONTENT)}")
    changed = client.get(path, headers={**headers, "If-Range": '"another"'})
    assert (changed.status_code, changed.content) == (200, CONTENT)


def test_a_range_outside_the_file_is_told(client: TestClient, image_id: str) -> None:
    headers = {"Range": f"bytes={len(CONTENT)}-"}
    response = client.get(f"/disk_images/{image_id}/file/", headers=headers)
    assert response.status_code == 416
    assert response.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


def test_a_ticket_opens_its_image_only(
    client: TestClient, stranger: TestClient, shared_app: FastAPI, image_id: str
) -> None:
    other_id = new_image(client)
    assert upload(client, other_id, ("image", CONTENT))["error_code"] == 0
    ticket = shared_app.state.cloud.secrets.ticket(ticket_purpose(image_id))
    headers = {"Authorization": f"Bearer {ticket}"}
    assert stranger.get(f"/disk_images/{image_id}/file/", headers=headers).content == CONTENT
    for wrong_id, wrong in ((other_id, headers), (image_id, {"Authorization": "Bearer made-up"})):
        refused = stranger.get(f"/disk_images/{wrong_id}/file/", headers=wrong)
        assert refused.status_code == 200
        assert refused.json()["error_code"] == 401
        assert "the ticket is not valid for image" in refused.json()["message"]
    # A ticket is for the file and for nothing else.
    assert stranger.get(f"/disk_images/{image_id}", headers=headers).json()["error_code"] == 401


def test_without_a_session_or_ticket_there_is_no_file(stranger: TestClient, image_id: str) -> None:
    refused = stranger.get(f"/disk_images/{image_id}/file/")
    assert refused.json() == {"error_code": 401, "message": "unauthenticated request", "data": ""}
    headers = {"Nano-Session": "made-up"}
    refused = stranger.get(f"/disk_images/{image_id}/file/", headers=headers)
    assert refused.json()["message"] == "invalid session 'made-up'"


def test_what_has_no_file_says_so(
    client: TestClient, image_id: str, shared_settings: Settings
) -> None:
    empty_id = new_image(client, "empty")
    assert client.get(f"/disk_images/{empty_id}/file/").json()["message"] == (
        "image 'empty' has no file yet; upload one first"
    )
    assert client.get("/disk_images/x/file/").json()["message"] == "invalid image 'x'"
    (shared_settings.image_folder / f"{image_id}.qcow2").unlink()
    lost = client.get(f"/disk_images/{image_id}/file/").json()
    assert lost["error_code"] == 404
    assert "is missing on the server" in lost["message"]


def test_the_description_of_the_api_tells_how_to_move_files(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    paths = document["paths"]
    for path in ("/api/v1/disk_images/{image_id}/file/", "/api/v1/disk_image_files/{image_id}"):
        upload_body = paths[path]["post"]["requestBody"]["content"]["multipart/form-data"]
        assert set(upload_body["schema"]["properties"]) == {"image", "checksum", "format"}
        assert upload_body["schema"]["required"] == ["image"]
    download = paths["/api/v1/disk_images/{image_id}/file/"]["get"]
    assert "application/octet-stream" in download["responses"]["200"]["content"]
    assert "Signature" in download["responses"]["200"]["headers"]
    assert {"Nano-Session", "image ticket"} <= set(document["components"]["securitySchemes"])
