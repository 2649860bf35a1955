# SPDX-License-Identifier: Apache-2.0
"""Uploads: the form, and what is refused. After every refusal the image takes another upload."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from nano_api.main import create_app
from nano_api.settings import Settings
from tests.api.image_files import (
    BOUNDARY,
    FORM_TYPE,
    detail,
    files_of,
    form,
    iso,
    new_image,
    qcow2,
    qcow2_of_the_future,
    qcow2_with_data_file,
    sha1,
    sha256,
    upload,
    vmdk,
)

GOOD = qcow2()


@pytest.fixture(scope="module")
def client(shared_client: TestClient) -> TestClient:
    """All tests here bring their own images."""
    return shared_client


@pytest.fixture(scope="module")
def settings(shared_settings: Settings) -> Settings:
    """The settings of the client's server."""
    return shared_settings


@pytest.fixture
def image_id(client: TestClient) -> str:
    """An image that waits for its file."""
    return new_image(client)


def assert_still_waiting(client: TestClient, image_id: str, settings: Settings) -> None:
    """No file was left, and the next upload works."""
    assert files_of(settings, image_id) == []
    found = detail(client, image_id)
    assert (found["created"], found["progress"]) == (False, 0)
    assert upload(client, image_id, ("image", GOOD))["error_code"] == 0
    assert files_of(settings, image_id) == [f"{image_id}.qcow2"]


def test_the_file_is_kept_as_it_came_under_our_name(
    client: TestClient, image_id: str, settings: Settings
) -> None:
    content = qcow2(body=bytes(range(256)) * 9000 + f"\r\n--{BOUNDARY[:-1]}\r\n--".encode())
    assert upload(client, image_id, ("image", content))["error_code"] == 0
    path = settings.image_folder / f"{image_id}.qcow2"
    assert files_of(settings, image_id) == [path.name]
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_documents_path_takes_uploads_too(client: TestClient, image_id: str) -> None:
    response = client.post(
        f"/disk_image_files/{image_id}",
        content=form(("image", GOOD)),
        headers={"Content-Type": FORM_TYPE},
    )
    assert response.json() == {"error_code": 0, "message": "", "data": ""}
    assert detail(client, image_id)["created"] is True


@pytest.mark.parametrize("digest", [sha1(GOOD), sha256(GOOD).upper(), "sha256:" + sha256(GOOD)])
@pytest.mark.parametrize("first", [True, False])
def test_a_right_checksum_may_stand_anywhere(
    client: TestClient, image_id: str, digest: str, first: bool
) -> None:
    parts = [("checksum", digest.encode()), ("other", b"x" * 5000), ("image", GOOD)]
    assert upload(client, image_id, *(parts if first else parts[::-1]))["error_code"] == 0


@pytest.mark.parametrize("content", [b"\0" * 4096, b"\xeb\x63\x90" + b"\0" * 507 + b"boot" * 99])
def test_a_raw_file_must_be_declared(
    client: TestClient, image_id: str, settings: Settings, content: bytes
) -> None:
    refused = upload(client, image_id, ("image", content))
    assert refused["error_code"] == 400
    assert "the file is not qcow2 but raw (or no disk image at all)" in refused["message"]
    assert upload(client, image_id, ("image", content), ("format", b"raw"))["error_code"] == 0
    assert files_of(settings, image_id) == [f"{image_id}.raw"]
    assert detail(client, image_id)["virtual_size"] == len(content)


@pytest.mark.parametrize(
    ("content", "image_format", "message"),
    [
        (qcow2(backing_file="/etc/shadow"), "qcow2", "it has a backing file; flatten it"),
        (qcow2(version=2, backing_file="x.qcow2"), "qcow2", "it has a backing file"),
        (qcow2(backing_file="json:{}"), "raw", "the file is not raw but qcow2"),
        (qcow2_with_data_file(), "qcow2", "it has an external data file"),
        (qcow2_of_the_future(), "qcow2", "it uses qcow2 features that are not allowed"),
        (qcow2(version=7), "qcow2", "it uses qcow2 features that are not allowed"),
        (qcow2(virtual_size=(1 << 30) + 512), "qcow2", "more than the 1073741824"),
        (qcow2(virtual_size=(1 << 64) - 512), "qcow2", "more than the 1073741824"),
        (qcow2(virtual_size=0), "qcow2", "the disk in the image has no size"),
        (qcow2()[:100], "qcow2", "the file is not qcow2"),
        (vmdk(), "qcow2", "the file is not qcow2 but vmdk"),
        (vmdk(), "raw", "the file is not raw but vmdk"),
        (iso(), "qcow2", "the file is not qcow2 but iso"),
        (iso(), "raw", "the file is not raw but iso"),
        (iso(front=qcow2()[:32768]), "qcow2", "the file is not plainly qcow2"),
        (b"<html>no disk</html>", "qcow2", "the file is not qcow2 but raw"),
        (b"", "qcow2", "the file in the field 'image' is empty"),
    ],
)
def test_what_is_unsafe_or_no_such_image_is_refused(
    client: TestClient,
    image_id: str,
    settings: Settings,
    content: bytes,
    image_format: str,
    message: str,
) -> None:
    refused = upload(client, image_id, ("image", content), ("format", image_format.encode()))
    assert refused["error_code"] == 400
    assert message in refused["message"]
    assert_still_waiting(client, image_id, settings)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "the form has no field 'image' with the file"),
        ((("checksum", b""),), "the form has no field 'image' with the file"),
        ((("image", GOOD), ("image", GOOD)), "the form has the field 'image' twice"),
        ((("format", b"raw"), ("format", b"raw")), "the form has the field 'format' twice"),
        ((("format", b"iso"), ("image", GOOD)), "invalid value for 'format': use qcow2 or raw"),
        ((("image", GOOD), ("format", b"\xff")), "invalid value for 'format'"),
        ((("checksum", b"abc"), ("image", GOOD)), "invalid value for 'checksum'"),
        ((("checksum", b"g" * 40), ("image", GOOD)), "invalid value for 'checksum'"),
        ((("image", GOOD), ("checksum", b"0" * 64)), f"has sha256 {sha256(GOOD)}, not 000"),
        ((("image", GOOD), ("checksum", b"0" * 40)), f"has sha1 {sha1(GOOD)}, not 000"),
        ((("checksum", b"0" * 5000), ("image", GOOD)), "the field 'checksum' is longer"),
        (tuple((f"f{n}", b"") for n in range(20)), "the form has more than 16 parts"),
    ],
)
def test_a_wrong_form_is_refused(
    client: TestClient,
    image_id: str,
    settings: Settings,
    parts: tuple[tuple[str, bytes], ...],
    message: str,
) -> None:
    refused = upload(client, image_id, *parts)
    assert refused["error_code"] == 400
    assert message in refused["message"]
    assert_still_waiting(client, image_id, settings)


@pytest.mark.parametrize(
    ("content_type", "content", "message"),
    [
        ("application/octet-stream", GOOD, "must be multipart/form-data"),
        ("multipart/form-data", GOOD, "must be multipart/form-data"),
        ("", GOOD, "must be multipart/form-data"),
        ("multipart/form-data; boundary=" + "x" * 400, b"", "the multipart form is malformed"),
        (FORM_TYPE, b"no form", "the multipart form is malformed"),
        (FORM_TYPE, b"", "the upload was cut off"),
        (FORM_TYPE, form(("image", GOOD), end=False), "the upload was cut off"),
        (FORM_TYPE, form(("image", GOOD))[:70_000], "the upload was cut off"),
    ],
)
def test_a_body_that_is_no_whole_form_is_refused(
    client: TestClient,
    image_id: str,
    settings: Settings,
    content_type: str,
    content: bytes,
    message: str,
) -> None:
    response = client.post(
        f"/disk_images/{image_id}/file/", content=content, headers={"Content-Type": content_type}
    )
    assert response.status_code == 200
    assert response.json()["error_code"] == 400
    assert message in response.json()["message"]
    assert_still_waiting(client, image_id, settings)


def test_an_upload_needs_a_session_and_an_image(
    client: TestClient, image_id: str, settings: Settings
) -> None:
    assert upload(client, "no-such", ("image", GOOD))["message"] == "invalid image 'no-such'"
    assert files_of(settings, "no-such") == []
    anonymous = TestClient(client.app, base_url=str(client.base_url))
    refused = upload(anonymous, image_id, ("image", GOOD))
    assert (refused["error_code"], refused["message"]) == (401, "unauthenticated request")
    assert files_of(settings, image_id) == []


def test_a_file_is_never_replaced(client: TestClient, image_id: str, settings: Settings) -> None:
    assert upload(client, image_id, ("image", GOOD))["error_code"] == 0
    again = upload(client, image_id, ("image", qcow2(virtual_size=32 << 20)))
    assert again["error_code"] == 409
    assert "has its file already; make a new image for another file" in again["message"]
    assert files_of(settings, image_id) == [f"{image_id}.qcow2"]
    assert (settings.image_folder / f"{image_id}.qcow2").read_bytes() == GOOD


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_file_over_the_limit_is_refused(
    client: TestClient,
    image_id: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tells_length: bool,
) -> None:
    monkeypatch.setattr(settings, "max_upload_bytes", len(GOOD))
    content = form(("image", GOOD + b"\0" * 100_000))

    def in_pieces() -> Iterator[bytes]:
        for start in range(0, len(content), 50_000):
            yield content[start : start + 50_000]

    response = client.post(
        f"/disk_images/{image_id}/file/",
        content=content if tells_length else in_pieces(),
        headers={"Content-Type": FORM_TYPE},
    )
    assert response.json()["error_code"] == 400
    assert f"larger than the {len(GOOD)} bytes" in response.json()["message"]
    assert_still_waiting(client, image_id, settings)


def test_a_file_that_the_file_system_refuses_leaves_nothing(
    client: TestClient, image_id: str, settings: Settings
) -> None:
    # Well above what SQLite writes meanwhile.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 << 20, hard))
    try:
        refused = upload(client, image_id, ("image", qcow2(body=b"x" * (20 << 20))))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused["error_code"] == 409
    assert "the server has no space left for the image" in refused["message"]
    assert_still_waiting(client, image_id, settings)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
@pytest.mark.parametrize("tells_length", [True, False])
def test_a_full_disk_leaves_nothing(
    client: TestClient, image_id: str, settings: Settings, tells_length: bool
) -> None:
    content = form(("image", qcow2(body=os.urandom(3 << 20))))
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs"]
    mounted = subprocess.run([*mount, str(settings.image_folder)], check=False)
    if mounted.returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        refused = client.post(
            f"/disk_images/{image_id}/file/",
            content=content if tells_length else iter([content[:900_000], content[900_000:]]),
            headers={"Content-Type": FORM_TYPE},
        ).json()
        assert refused["error_code"] == 409
        assert "space" in refused["message"]
        assert_still_waiting(client, image_id, settings)
    finally:
        subprocess.run(["umount", str(settings.image_folder)], check=True)


def test_a_start_sweeps_what_a_crash_left(
    client: TestClient, image_id: str, settings: Settings
) -> None:
    assert upload(client, image_id, ("image", GOOD))["error_code"] == 0
    other_id = new_image(client)
    incoming = settings.image_folder / "incoming"
    for path in (incoming / f"{other_id}.part", settings.image_folder / f"{other_id}.qcow2"):
        path.write_bytes(GOOD)  # killed while it arrived; killed between rename and commit
    with TestClient(create_app(settings, background=False)):
        assert files_of(settings, image_id) == [f"{image_id}.qcow2"]
        assert files_of(settings, other_id) == []


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")
def test_what_qemu_img_makes_is_taken_or_refused(
    client: TestClient, settings: Settings, tmp_path: Path
) -> None:
    def qemu_img(*arguments: str) -> bytes:
        subprocess.run(["qemu-img", "create", "-q", *arguments], cwd=tmp_path, check=True)
        return (tmp_path / arguments[-2]).read_bytes()

    cases = {
        "plain": (qemu_img("-f", "qcow2", "plain", "8M"), ""),
        "v2": (qemu_img("-f", "qcow2", "-o", "compat=0.10", "v2", "8M"), ""),
        "overlay": (
            qemu_img("-f", "qcow2", "-b", "plain", "-F", "qcow2", "overlay", "8M"),
            "backing file",
        ),
        "split": (qemu_img("-f", "qcow2", "-o", "data_file=split.raw", "split", "8M"), "data file"),
        "vmdk": (qemu_img("-f", "vmdk", "vmdk", "8M"), "but vmdk"),
        "vdi": (qemu_img("-f", "vdi", "vdi", "8M"), "but vdi"),
        "huge": (qemu_img("-f", "qcow2", "huge", "2G"), "more than the"),
    }
    for name, (content, message) in cases.items():
        image_id = new_image(client, name)
        answer = upload(client, image_id, ("image", content))
        assert (answer["error_code"] == 0) == (message == ""), name
        assert message in answer["message"]
        if not message:
            assert detail(client, image_id)["virtual_size"] == 8 << 20
        assert len(files_of(settings, image_id)) == (message == "")
