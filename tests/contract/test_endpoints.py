# SPDX-License-Identifier: Apache-2.0
"""The document's endpoints and ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nano_api import API_PREFIX
from nano_api.main import create_app
from nano_api.settings import Settings

DOCUMENT = json.loads(Path(__file__).with_name("frontend-api-1.3.1.json").read_text())

#: Numbers of the document's endpoints that this version does not have yet.
NOT_YET: frozenset[int] = frozenset()

#: Paths that the real system has where the document is silent or wrong.
UNDOCUMENTED = (
    ("GET", "/system/"),
    ("POST", "/system/"),
    ("GET", "/sessions/"),
    ("GET", "/disk_images/{id}/file/"),
    ("POST", "/disk_images/{id}/file/"),
)

OURS = (
    ("GET", "/jobs/"),
    ("GET", "/jobs/{id}"),
    ("DELETE", "/jobs/{id}"),
    ("GET", "/jobs/{id}/events"),
    ("GET", "/jobs/{id}/log"),
    ("GET", "/guests/{id}/serial_log"),
    ("GET", "/cells/{cell}/maintenance"),
    ("POST", "/cells/{cell}/maintenance"),
    ("DELETE", "/cells/{cell}/maintenance"),
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return create_app(Settings(data=tmp_path_factory.mktemp("data")), background=False)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://cloud.test") as client:
        yield client


@pytest.fixture(scope="module")
def described(client: TestClient) -> dict[str, Any]:
    """Our own description."""
    found: dict[str, Any] = client.get(f"{API_PREFIX}/openapi.json").json()
    return found


def shape(path: str) -> str:
    """A path without its query and its parameters' names: ``/a/{}/b``."""
    plain = re.sub(r"\{\?[^}]*\}", "", path)
    return re.sub(r"\{[^}]*\}", "{}", plain).rstrip("/")


def routed(described: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (method.upper(), shape(path.removeprefix(API_PREFIX)))
        for path, operations in described["paths"].items()
        for method in operations
    }


def test_the_document_is_whole() -> None:
    assert [entry["number"] for entry in DOCUMENT] == list(range(1, 137))


def test_what_this_version_promises_is_routed(described: dict[str, Any]) -> None:
    ours = routed(described)
    documented = {entry["number"]: (entry["method"], shape(entry["path"])) for entry in DOCUMENT}
    there = {number for number, endpoint in documented.items() if endpoint in ours}
    missing = [documented[number] for number in sorted(documented.keys() - NOT_YET - there)]
    print(f"{len(there)} of {len(DOCUMENT)} documented endpoints are routed")  # noqa: T201
    assert missing == []
    assert not NOT_YET & there


@pytest.mark.parametrize(("method", "path"), [*UNDOCUMENTED, *OURS])
def test_what_the_document_lacks_is_routed(
    described: dict[str, Any], method: str, path: str
) -> None:
    assert (method, shape(path)) in routed(described)


def test_every_endpoint_answers_with_and_without_a_trailing_slash(
    client: TestClient, described: dict[str, Any]
) -> None:
    for path, operations in described["paths"].items():
        if "get" not in operations:
            continue
        plain = re.sub(r"\{[^}]*\}", "x", path)
        for variant in (plain.rstrip("/"), plain.rstrip("/") + "/"):
            reply = client.get(variant, follow_redirects=False)
            assert reply.status_code == 200, variant
            assert "no such path" not in reply.json().get("message", ""), variant


def test_without_a_session_nothing_is_told_or_done(
    client: TestClient, described: dict[str, Any]
) -> None:
    open_to_all = {("GET", "/system"), ("POST", "/system"), ("POST", "/sessions")}
    for path, operations in described["paths"].items():
        for method in operations:
            where = path.removeprefix(API_PREFIX)
            if (method.upper(), shape(where)) in open_to_all:
                continue
            plain = re.sub(r"\{[^}]*\}", "x", path)
            for headers in ({}, {"Nano-Session": "no-such-session"}):
                reply = client.request(method.upper(), plain, headers=headers)
                assert reply.status_code == 200, (method, path)
                assert reply.json()["error_code"] == 401, (method, path, reply.json())


def test_the_api_page_works_without_the_internet(client: TestClient) -> None:
    page = client.get(f"{API_PREFIX}/docs").text
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert address.startswith(API_PREFIX), address
        assert client.get(address).status_code == 200, address
