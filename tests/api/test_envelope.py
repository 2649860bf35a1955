# SPDX-License-Identifier: Apache-2.0
"""Every reply is Nano's envelope, and no business error is a 4xx or 5xx."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from nano_api.envelope import ERROR_CODES, Envelope, NanoRouter, install_error_replies, reply
from nano_api.errors import (
    Busy,
    CloudError,
    Forbidden,
    NoAnswerInTime,
    Unauthenticated,
    Unreachable,
)


class _Thing(BaseModel):
    name: str
    note: str | None = None


@pytest.fixture
def small() -> TestClient:
    """A small application of the envelope's parts only."""
    app = FastAPI(redirect_slashes=False)
    install_error_replies(app)
    router = NanoRouter()

    @router.get("/things/", response_model=Envelope[_Thing])
    def get_thing() -> Any:
        return reply(_Thing(name="a"))

    @router.get("/fail/{code}", response_model=Envelope[str])
    def fail(code: str) -> Any:
        error = CloudError("what happened")
        error.code = code
        raise error

    @router.get("/break/", response_model=Envelope[str])
    def break_down() -> Any:
        raise RuntimeError("secret detail")

    app.include_router(router)
    return TestClient(app, raise_server_exceptions=False)


def test_a_success_has_code_zero_and_no_empty_fields(small: TestClient) -> None:
    for path in ("/things/", "/things"):
        response = small.get(path)
        assert response.status_code == 200
        assert response.json() == {"error_code": 0, "message": "", "data": {"name": "a"}}


@pytest.mark.parametrize(("code", "number"), sorted(ERROR_CODES.items()))
def test_every_error_is_http_200_with_its_number(small: TestClient, code: str, number: int) -> None:
    response = small.get(f"/fail/{code}")
    assert response.status_code == 200
    assert response.json() == {"error_code": number, "message": "what happened", "data": ""}


def test_the_services_errors_have_numbers() -> None:
    for error in (Busy, Forbidden, NoAnswerInTime, Unauthenticated, Unreachable):
        assert error.code in ERROR_CODES


def test_our_own_fault_tells_no_details(small: TestClient) -> None:
    response = small.get("/break/")
    assert response.status_code == 200
    assert response.json()["error_code"] == 500
    assert "secret" not in response.text


def test_what_http_itself_refuses_is_an_envelope_too(small: TestClient) -> None:
    missing = small.get("/nowhere")
    assert (missing.status_code, missing.json()["error_code"]) == (404, 404)
    wrong = small.delete("/things/")
    assert (wrong.status_code, wrong.json()["error_code"]) == (405, 400)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "the body is not valid JSON"),
        (b"\xff\xfe", "the body"),
        (b"[]", "invalid value for 'body'"),
        (b'"text"', "invalid value for 'body'"),
        (b'{"user": 1}', "invalid value for 'user'"),
        (b'{"user": {"a": 1}}', "invalid value for 'user'"),
        (b'{"user": "\\ud800"}', "invalid value for 'user'"),
    ],
)
def test_a_body_of_the_wrong_kind_is_told_by_field(
    empty_client: TestClient, content: bytes, message: str
) -> None:
    response = empty_client.post("/sessions/", content=content)
    assert response.status_code == 200
    assert response.json()["error_code"] == 400
    assert message in response.json()["message"]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"user": null, "unknown": 1}'])
def test_missing_null_and_unknown_fields_are_zero_values(
    empty_client: TestClient, content: bytes
) -> None:
    response = empty_client.post(
        "/system/", content=content, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert response.json()["message"] == "user required"
