# SPDX-License-Identifier: Apache-2.0
"""Media images, and the import folder of both kinds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from nano_api.settings import Settings
from tests.api.image_files import FORM_TYPE, form, iso, qcow2, qcow2_with_data_file

WHO = {"owner": "admin", "group": "admin"}


def new_media(client: TestClient, name: str = "debian") -> str:
    answer = client.post("/media_images/", json={"name": name, **WHO, "tags": ["linux"]}).json()
    assert answer["error_code"] == 0, answer
    return str(answer["data"]["id"])


def upload(client: TestClient, image_id: str, content: bytes, path: str = "") -> dict[str, Any]:
    url = path or f"/media_images/{image_id}/file/"
    body = form(("image", content))
    answer = client.post(url, content=body, headers={"content-type": FORM_TYPE})
    return dict(answer.json())


def listed(client: TestClient, kind: str) -> list[str]:
    return [each["name"] for each in client.get(f"/{kind}_image_search/").json()["data"]]


@pytest.mark.parametrize("path", ["", "/media_image_files/{}"])
def test_an_iso_goes_in_and_out(client: TestClient, path: str) -> None:
    image_id = new_media(client)
    content = iso()
    answer = upload(client, image_id, content, path.format(image_id))
    assert answer["error_code"] == 0, answer
    found = client.get(f"/media_images/{image_id}").json()["data"]
    assert (found["created"], found["format"], found["size"]) == (True, "iso", len(content))
    assert found["tags"] == ["linux"]
    for url in (f"/media_images/{image_id}/file/", f"/media_image_files/{image_id}"):
        assert client.get(url).content == content
    names = [each["name"] for each in client.get("/media_images/").json()["data"]]
    assert names == listed(client, "media") == ["debian"]
    assert listed(client, "disk") == []
    assert client.delete(f"/media_images/{image_id}").json()["error_code"] == 0
    assert listed(client, "media") == []


def test_an_iso_that_also_boots_from_usb_sticks_is_taken(client: TestClient) -> None:
    hybrid = bytearray(iso())
    # An MBR with one partition, as isohybrid writes it into the unused start of the image.
    hybrid[446:462] = bytes([0x80, 0, 1, 0, 0x17, 0, 1, 0]) + b"\0\0\0\0\x10\0\0\0"
    hybrid[510:512] = b"\x55\xaa"
    answer = upload(client, new_media(client), bytes(hybrid))
    assert answer["error_code"] == 0, answer


def test_a_disk_is_no_medium_and_the_other_way_round(client: TestClient) -> None:
    image_id = new_media(client)
    refused = upload(client, image_id, qcow2())
    assert refused["error_code"] == 400
    assert "not iso but qcow2" in refused["message"]
    assert client.get(f"/disk_images/{image_id}").json()["error_code"] == 404
    assert client.delete(f"/disk_images/{image_id}").json()["error_code"] == 404
    body = {"name": "other", **WHO, "guest": "some"}
    answer = client.post("/media_images/", json=body).json()
    assert answer["message"] == "only disk images are built from guests"
    # The two kinds have names of their own.
    assert client.post("/disk_images/", json={"name": "debian", **WHO}).json()["error_code"] == 0


def test_files_in_the_import_folder_become_images(client: TestClient, settings: Settings) -> None:
    folder = settings.import_folder("media")
    folder.mkdir(parents=True)
    (folder / "net install.iso").write_bytes(iso())
    (folder / "note.txt").write_text("not an image")
    (folder / "evil.iso").write_bytes(qcow2())
    (folder / "link.iso").symlink_to("/etc/hostname")
    answer = client.patch("/media_images/", json=WHO).json()
    assert answer["error_code"] == 400
    assert answer["message"].startswith("not imported: evil.iso: the file is not iso but qcow2")
    assert sorted(path.name for path in folder.iterdir()) == ["evil.iso", "link.iso", "note.txt"]
    (name,) = listed(client, "media")
    assert re.fullmatch(r"net_install_\d{10}", name)
    found = client.get("/media_image_search/").json()["data"][0]
    assert client.get(f"/media_images/{found['id']}/file/").content == iso()

    (folder / "evil.iso").unlink()
    (settings.image_folder / f"{found['id']}.iso").unlink()
    assert client.patch("/media_images/", json=WHO).json()["error_code"] == 0
    assert listed(client, "media") == []


def test_disks_are_imported_too_and_an_owner_is_needed(
    client: TestClient, settings: Settings
) -> None:
    folder: Path = settings.import_folder("disk")
    folder.mkdir(parents=True)
    (folder / "web.qcow2").write_bytes(qcow2())
    (folder / "worse.qcow2").write_bytes(qcow2_with_data_file())
    assert "owner" in client.patch("/disk_images/", json={}).json()["message"]
    assert listed(client, "disk") == []
    answer = client.patch("/disk_images/", json=WHO).json()
    assert "worse.qcow2: the image is refused: it has an external data file" in answer["message"]
    assert [name.rpartition("_")[0] for name in listed(client, "disk")] == ["web"]
