# SPDX-License-Identifier: Apache-2.0
"""What browsers need beside the endpoints: the portal's files, CORS, ETags, gzip, the cookie."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from nano_api.main import create_app
from nano_api.settings import Settings
from tests.api.conftest import log_in
from tests.api.image_files import new_image, qcow2, upload

ROOT = "http://cloud.test"


@pytest.fixture
def portal(tmp_path: Path) -> Path:
    folder = tmp_path / "web_root"
    (folder / "js").mkdir(parents=True)
    (folder / "index.html").write_text("<title>Portal</title>")
    (folder / "js" / "app.js").write_text("start()")
    (tmp_path / "secret").write_text("not for you")
    return folder


def test_the_portal_is_served_and_its_own_paths_lead_to_it(tmp_path: Path, portal: Path) -> None:
    app = create_app(Settings(data=tmp_path / "data", portal_dir=portal), background=False)
    with TestClient(app, base_url=ROOT) as client:
        for path in ("/", "/login", "/admin/instances/some", "/monitor/x", "/no.such.file"):
            assert client.get(path).text == "<title>Portal</title>", path
        assert client.get("/js/app.js").text == "start()"
        for path in ("/../secret", "/%2e%2e/secret", "/js/..%2f..%2fsecret"):
            assert "not for you" not in client.get(path).text
        assert client.get("/api/v1/system/").json()["data"]["ready"] is False
        unknown = client.get("/api/v1/no-such")
        assert (unknown.status_code, unknown.json()["error_code"]) == (404, 404)


def test_without_a_portal_a_page_says_what_runs_here(anonymous: TestClient) -> None:
    page = anonymous.get(f"{ROOT}/")
    assert "/api/v1/docs" in page.text
    assert anonymous.get(f"{ROOT}/login").status_code == 404


def test_a_folder_without_a_portal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"no index\.html"):
        Settings(data=tmp_path, portal_dir=tmp_path)


def test_other_origins_are_let_in_by_setting_only(tmp_path: Path, client: TestClient) -> None:
    asked = {"Origin": "http://pages.test", "Access-Control-Request-Method": "PUT"}
    assert "access-control-allow-origin" not in client.options("/users/", headers=asked).headers
    settings = Settings(data=tmp_path / "other", cors_origins=["http://pages.test"])
    with TestClient(create_app(settings, background=False), base_url=ROOT) as open_client:
        answer = open_client.options("/api/v1/users/", headers=asked)
        assert answer.headers["access-control-allow-origin"] == "http://pages.test"
        answer = open_client.options("/api/v1/users/", headers={**asked, "Origin": "http://evil"})
        assert "access-control-allow-origin" not in answer.headers


def test_an_unchanged_list_costs_no_body(client: TestClient) -> None:
    first = client.get("/templates/")
    tag = first.headers["etag"]
    again = client.get("/templates/", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    template = first.json()["data"][0]["id"]
    assert client.delete(f"/templates/{template}").json()["error_code"] == 0
    changed = client.get("/templates/", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def test_long_answers_are_compressed_and_disks_are_not(client: TestClient) -> None:
    assert client.get("/openapi.json").headers["content-encoding"] == "gzip"
    image_id = new_image(client)
    upload(client, image_id, ("image", qcow2()))
    file = client.get(f"/disk_images/{image_id}/file/")
    assert file.headers["content-encoding"] == "identity"
    assert file.content == qcow2()


def test_the_cookie_of_the_login_opens_downloads_only(anonymous: TestClient) -> None:
    session = log_in(anonymous)
    with_session = {"Nano-Session": session}
    anonymous.headers.update(with_session)
    image_id = new_image(anonymous)
    upload(anonymous, image_id, ("image", qcow2()))
    del anonymous.headers["Nano-Session"]
    assert anonymous.get(f"/disk_images/{image_id}/file/").content == qcow2()
    assert anonymous.get("/disk_image_search/").json()["error_code"] == 401
    assert anonymous.delete(f"/disk_images/{image_id}").json()["error_code"] == 401
    anonymous.cookies.clear()
    assert anonymous.get(f"/disk_images/{image_id}/file/").json()["error_code"] == 401


def test_the_cookie_is_hidden_from_pages_and_from_other_sites(anonymous: TestClient) -> None:
    log_in(anonymous)
    body = {"user": "admin", "password": "Correct-horse-7", "nonce": "x"}
    cookie = anonymous.post("/sessions/", json=body).headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/api/v1"):
        assert part in cookie
