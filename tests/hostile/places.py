# SPDX-License-Identifier: Apache-2.0
"""Where a request has texts: in its path, its query, its body or its form.

Found in our own description of the API, at any depth: ``cloud_init.admin_name`` of a body as well
as each of ``tags``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlencode

from nano_api import API_PREFIX
from tests.contract.spoiling import Description

Where = Literal["path", "query", "body", "form"]


@dataclass(frozen=True)
class Place:
    """One text. ``steps`` lead to it through the body; 0 is the first of a list."""

    where: Where
    steps: tuple[str | int, ...]

    @property
    def name(self) -> str:
        """``cloud_init.admin_name``, ``tags``."""
        return ".".join(step for step in self.steps if isinstance(step, str))


@dataclass(frozen=True)
class Request:
    """What is sent; ``form`` are the fields beside an uploaded file."""

    method: str
    path: str
    body: Any = None
    form: dict[str, str] | None = None


def places_of(description: Description, method: str, template: str) -> Iterator[Place]:
    """All texts of an endpoint."""
    operation = description["paths"][template][method.lower()]
    for parameter in operation.get("parameters", ()):
        if parameter["in"] in ("path", "query") and (
            parameter["in"] == "path"
            or any(True for _ in _texts(description, parameter["schema"], ()))
        ):
            yield Place(parameter["in"], (parameter["name"],))
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        where: Where = "form" if kind == "multipart/form-data" else "body"
        for steps in sorted(set(_texts(description, content["schema"], ())), key=str):
            yield Place(where, steps)


def with_text(request: Request, template: str, place: Place, text: str) -> Request:
    """The request with a text in a place."""
    path, _, query = request.path.partition("?")
    if place.where == "path":
        names = template.removeprefix(API_PREFIX).split("/")
        parts = path.split("/")
        parts[names.index("{" + str(place.steps[0]) + "}")] = quote(text, safe="")
        changed = "/".join(parts) + ("?" + query if query else "")
        return Request(request.method, changed, request.body, request.form)
    if place.where == "query":
        return Request(request.method, f"{path}?{urlencode({place.name: text})}", request.body)
    if place.where == "form":
        return Request(
            request.method, request.path, None, {**(request.form or {}), place.name: text}
        )
    body = copy.deepcopy(request.body) if isinstance(request.body, dict) else {}
    _put(body, place.steps, text)
    return Request(request.method, request.path, body)


def _put(inside: Any, steps: tuple[str | int, ...], text: str) -> None:
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        inside[:1] = [text]
    elif not rest:
        inside[step] = text
    else:
        inside[step] = inside.get(step) or ([] if rest[0] == 0 else {})
        _put(inside[step], rest, text)


def _texts(
    description: Description, schema: dict[str, Any], steps: tuple[str | int, ...]
) -> Iterator[tuple[str | int, ...]]:
    if "$ref" in schema:
        schema = description["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    for choice in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from _texts(description, choice, steps)
    kind = schema.get("type")
    if kind == "object":
        for name, inner in schema.get("properties", {}).items():
            yield from _texts(description, inner, (*steps, name))
    elif kind == "array":
        yield from _texts(description, schema.get("items", {}), (*steps, 0))
    elif kind == "string" and schema.get("format") != "binary" and "contentMediaType" not in schema:
        yield steps
