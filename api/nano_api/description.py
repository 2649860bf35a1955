# SPDX-License-Identifier: Apache-2.0
"""What the API says of itself in OpenAPI, completed by what is true of every endpoint.

An error comes as HTTP 200 in the envelope, so each reply of 200 is a success or an error; a
request that FastAPI would refuse with 422 never is.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, Field

_METHODS = frozenset({"get", "put", "post", "delete", "patch"})
_JSON = "application/json"
_ERROR = {"$ref": "#/components/schemas/Error"}


class Error(BaseModel):
    """What every endpoint answers instead of its data when it did not do what was asked."""

    error_code: int = Field(
        description="400 bad input, 401 no session, 403 not allowed, 404 no such thing, "
        "409 conflict or busy, 500 our fault, 503 cell out of reach, 504 no answer in time"
    )
    message: str = Field(min_length=1, description="names the object or field, and the way out")
    data: Literal[""]


def install_description(app: FastAPI) -> None:
    """Complete what FastAPI generates."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(generate())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _completed(description: dict[str, Any]) -> dict[str, Any]:
    schemas = description["components"]["schemas"]
    schemas["Error"] = Error.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for operations in description["paths"].values():
        for method, operation in operations.items():
            if method in _METHODS:
                _complete(operation["responses"])
    return description


def _complete(responses: dict[str, Any]) -> None:
    responses.pop("422", None)
    fine = responses.setdefault("200", {"description": "It was not done."})
    content = fine.setdefault("content", {}).setdefault(_JSON, {})
    documented = content.get("schema")
    content["schema"] = {"anyOf": [documented, _ERROR]} if documented else _ERROR
    responses["404"] = {
        "description": "There is no such path.",
        "content": {_JSON: {"schema": _ERROR}},
    }
