# SPDX-License-Identifier: Apache-2.0
"""Images as records: creating, finding, changing, deleting."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from nano_api.cloud import Cloud
from nano_api.errors import Conflict, NotFound
from nano_api.images import service
from nano_api.settings import Settings
from tests.api.image_files import detail, new_image, qcow2, sha1, sha256, upload

INJECTION = "{{ lookup('pipe', 'touch /tmp/x') }}"


def names(client: TestClient, query: str = "") -> list[str]:
    """Names that a search finds."""
    return [entry["name"] for entry in client.get(f"/disk_image_search/{query}").json()["data"]]


def test_a_new_image_has_no_file_yet(client: TestClient, cloud: Cloud) -> None:
    image_id = new_image(client, "centos7", description="Jürgens", tags=["linux", "64bit"])
    found = detail(client, image_id)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", found.pop("create_time"))
    found.pop("modify_time")
    assert found == {
        "name": "centos7",
        "owner": "admin",
        "group": "admin",
        "description": "Jürgens",
        "created": False,
        "progress": 0,
        "size": 0,
        "tags": ["linux", "64bit"],
    }
    with (
        cloud.database.reading() as session,
        pytest.raises(Conflict, match="image 'centos7' has no file yet; upload one first"),
    ):
        service.get_ready_image(session, "disk", image_id)
    with cloud.database.reading() as session, pytest.raises(NotFound, match="invalid image 'x'"):
        service.get_ready_image(session, "disk", "x")


def test_a_search_finds_own_images_by_any_of_the_tags(client: TestClient) -> None:
    new_image(client, "b", tags=["linux", "64bit"])
    new_image(client, "a", tags=["windows", "64bit"])
    new_image(client, "c")
    new_image(client, "z", owner="other")
    new_image(client, "y", group="aaa", tags=["centos"])
    assert names(client) == ["y", "a", "b", "c"]
    assert names(client, "?tags=linux&tags=windows") == ["a", "b"]
    assert names(client, "?tags=64bit&tags=nothing") == ["a", "b"]
    assert names(client, "?tags=nothing") == []
    entry = client.get("/disk_image_search/?tags=linux").json()["data"][0]
    assert set(entry) == {
        "name", "id", "owner", "group", "created", "size", "tags", "create_time", "modify_time",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"name": ""}, 400, "name required"),
        ({"owner": ""}, 400, "owner required"),
        ({"group": None}, 400, "group required"),
        ({"name": "a/b"}, 400, "invalid name 'a/b'"),
        ({"name": "../x"}, 400, "invalid name '../x'"),
        ({"name": INJECTION}, 400, "invalid name '{{ lookup("),
        ({"name": "n" * 129}, 400, "invalid name"),
        ({"owner": "a b"}, 400, "invalid owner 'a b'"),
        ({"tags": "linux"}, 400, "invalid value for 'tags'"),
        ({"tags": [1]}, 400, "invalid value for 'tags.0'"),
        ({"tags": [" "]}, 400, "invalid tag"),
        ({"tags": [str(n) for n in range(33)]}, 400, "more than 32 tags"),
        ({"description": "x" * 1025}, 400, "description is longer"),
        ({"guest": "0b6a"}, 404, "invalid guest '0b6a'"),
        ({"name": "taken"}, 409, "image 'taken' already exists in group 'admin'"),
    ],
)
def test_bad_input_names_the_field(
    shared_client: TestClient, change: dict[str, Any], code: int, message: str
) -> None:
    client = shared_client
    if not names(client):
        new_image(client, "taken")
    body = {"name": "new", "owner": "admin", "group": "admin", **change}
    response = client.post("/disk_images/", json=body)
    assert response.status_code == 200
    assert response.json()["error_code"] == code
    assert message in response.json()["message"]
    assert names(client) == ["taken"]


def test_a_name_is_taken_in_its_group_only(client: TestClient) -> None:
    new_image(client, "same")
    new_image(client, "same", group="other")
    assert names(client) == ["same", "same"]


def test_template_expressions_stay_text(client: TestClient) -> None:
    image_id = new_image(client, description=INJECTION, tags=[INJECTION])
    found = detail(client, image_id)
    assert (found["description"], found["tags"]) == (INJECTION, [INJECTION])


def test_a_change_keeps_what_is_left_out(client: TestClient) -> None:
    image_id = new_image(client, "old", description="text", tags=["linux"])
    new_image(client, "taken")
    assert client.put(f"/disk_images/{image_id}", json={"name": "new"}).json()["data"] == ""
    found = detail(client, image_id)
    assert (found["name"], found["description"], found["tags"]) == ("new", "text", ["linux"])
    client.put(f"/disk_images/{image_id}", json={"tags": ["a"], "description": "d", "owner": "o"})
    found = detail(client, image_id)
    assert (found["tags"], found["description"], found["owner"]) == (["a"], "d", "o")
    taken = client.put(f"/disk_images/{image_id}", json={"name": "taken"}).json()
    assert (taken["error_code"], taken["message"]) == (
        409,
        "image 'taken' already exists in group 'admin'",
    )
    assert client.put("/disk_images/x", json={}).json()["message"] == "invalid image 'x'"


def test_deleting_removes_the_file(client: TestClient, settings: Settings) -> None:
    image_id = new_image(client)
    assert upload(client, image_id, ("image", qcow2()))["error_code"] == 0
    assert (settings.image_folder / f"{image_id}.qcow2").exists()
    assert client.delete(f"/disk_images/{image_id}").json() == {
        "error_code": 0,
        "message": "",
        "data": "",
    }
    assert not [path for path in settings.image_folder.rglob("*") if path.is_file()]
    for reply in (
        client.get(f"/disk_images/{image_id}"),
        client.delete(f"/disk_images/{image_id}"),
    ):
        assert reply.status_code == 200
        assert reply.json()["message"] == f"invalid image '{image_id}'"


def test_an_image_is_kept_while_a_guest_is_made_from_it(client: TestClient, cloud: Cloud) -> None:
    image_id = new_image(client, "base")
    with (
        pytest.raises(Conflict, match=r"guest 'admin\.web' is being created from it"),
        cloud.database.transaction() as session,
    ):
        service.delete(session, "disk", image_id, in_use=lambda _session, _image: ["admin.web"])
    assert detail(client, image_id)["name"] == "base"


def test_a_ready_image_tells_everything_about_its_file(client: TestClient, cloud: Cloud) -> None:
    content = qcow2(virtual_size=64 << 20)
    image_id = new_image(client)
    assert upload(client, image_id, ("image", content)) == {
        "error_code": 0,
        "message": "",
        "data": "",
    }
    found = detail(client, image_id)
    assert found["created"] is True
    assert found["progress"] == 100
    assert found["size"] == len(content)
    assert found["virtual_size"] == 64 << 20
    assert found["format"] == "qcow2"
    assert (found["sha1"], found["sha256"]) == (sha1(content), sha256(content))
    with cloud.database.reading() as session:
        image = service.get_ready_image(session, "disk", image_id)
        assert (image.size_bytes, image.sha256) == (len(content), sha256(content))
