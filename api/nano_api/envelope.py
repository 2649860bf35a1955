# SPDX-License-Identifier: Apache-2.0
"""Nano's envelope: every reply is ``{"error_code", "message", "data"}``, errors come as HTTP 200.

Nano's portal treats any other HTTP status as a network failure and hides the message, so a
business error is never a 4xx or 5xx. ``error_code`` is finer than Nano's constant 500.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from starlette.exceptions import HTTPException

from nano_api.errors import CloudError

log = structlog.get_logger(__name__)

T = TypeVar("T")

_LONGEST_MESSAGE = 1000

#: CloudError.code → error_code on the wire.
ERROR_CODES = {
    "invalid_input": 400,
    "unsafe_image": 400,
    "unsupported": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "busy": 409,
    "no_space": 409,
    "canceled": 409,
    "partial": 409,
    "internal": 500,
    "hypervisor": 500,
    "unreachable": 503,
    "timeout": 504,
}


class Envelope(BaseModel, Generic[T]):
    """What every endpoint answers. ``data`` is ``""`` when there is nothing to say."""

    error_code: int = 0
    message: str = ""
    data: T


class WireModel(BaseModel):
    """A request body as Nano reads it: unknown fields are ignored, null is the same as missing.

    Types are strict: ``"4"`` is no number and 1 is no boolean.
    """

    model_config = ConfigDict(strict=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None}
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _only_text_that_can_be_stored(cls, value: Any) -> Any:
        # JSON may spell half a surrogate pair, which is no character and breaks every encoder.
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it contains half a surrogate pair, which is no text") from None
        return value


class NanoRouter(APIRouter):
    """Routes answer with and without a trailing slash, and leave out fields that are empty."""

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        options["response_model_exclude_none"] = True  # the decorators pass their default
        super().add_api_route(path, endpoint, **options)
        twin = path.rstrip("/") if path.endswith("/") else path + "/"
        super().add_api_route(twin, endpoint, **{**options, "include_in_schema": False})


def reply(data: Any = "") -> Any:
    """A success. The declared response model of the route checks and shapes ``data``."""
    return {"error_code": 0, "message": "", "data": data}


def quick_reply(data: Any) -> Response:
    """A success with data that has its shape already: not checked again, for long lists."""
    body = {"error_code": 0, "message": "", "data": data}
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(content, media_type="application/json")


def error_reply(code: str, message: str, http_status: int = 200) -> JSONResponse:
    """A failure in the envelope."""
    number = ERROR_CODES.get(code, 500)
    if len(message) > _LONGEST_MESSAGE:  # it quotes what was sent
        message = message[:_LONGEST_MESSAGE] + "…"
    return JSONResponse({"error_code": number, "message": message, "data": ""}, http_status)


def _refuse(request: Request, code: str, message: str, http_status: int = 200) -> JSONResponse:
    """A failure in the envelope, noted where the operation log looks for it."""
    request.state.failure = (ERROR_CODES.get(code, 500), message)
    return error_reply(code, message, http_status)


def _validation_message(error: RequestValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return f"the body is not valid JSON: {first.get('ctx', {}).get('error', first['msg'])}"
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    field = ".".join(place) or "body"
    return f"invalid value for '{field}': {first['msg'].lower()}"


def install_error_replies(app: FastAPI) -> None:
    """Turn every kind of error into the envelope; nothing else knows the HTTP status of one."""

    @app.exception_handler(CloudError)
    async def _cloud_error(request: Request, error: CloudError) -> JSONResponse:
        return _refuse(request, error.code, error.message)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _refuse(request, "invalid_input", _validation_message(error))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 404:
            message = f"no such path: {request.method} {request.url.path}"
            return _refuse(request, "not_found", message, 404)
        if error.status_code == 400:
            return _refuse(request, "invalid_input", f"the body cannot be read: {error.detail}")
        return _refuse(request, "invalid_input", str(error.detail), error.status_code)

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", path=request.url.path, exc_info=error)
        message = "internal error; the server's log has the details under this request's time"
        return error_reply("internal", message)
