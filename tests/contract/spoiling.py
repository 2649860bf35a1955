# SPDX-License-Identifier: Apache-2.0
"""Bad requests made from good ones: each has one thing wrong.

What may be wrong comes from our own description: the fields of the body with their types, and the
parameters of the path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from nano_api import API_PREFIX

Description = dict[str, Any]

LONG_TEXT = "x" * 200_000
HOSTILE_TEXTS = (
    "{{ 7 * 191 }}{% for x in y %}<a/>&\"'<!--../../../etc/passwd$(id)`id`;id|id",
    "a\u0000b\u001b[31m\u202egpj.exe",
)
HOSTILE_IDS = (
    "no-such-thing",
    "..%2F..%2Fetc%2Fpasswd",
    quote("{{ 7 * 191 }}<x>&'\"\u202e\x00💥", safe=""),
    "x" * 3000,
)
_WRONG_TYPES: dict[str, tuple[Any, ...]] = {
    "string": (7, {"a": "b"}),
    "integer": ("7", True),
    "boolean": ("true", 1),
    "array": ("x", {"a": "b"}),
    "object": ("x", ["x"]),
}
_TOO_LARGE: dict[str, tuple[Any, ...]] = {
    "string": (LONG_TEXT,),
    "integer": (1 << 70, -1),
    "boolean": (),
    "array": (["x"] * 2000, [1] * 2000),
    "object": (),
}


@dataclass(frozen=True)
class Spoiled:
    """A request with one thing wrong. ``field`` must be named by the refusal; "" for none.

    ``must_fail``: it cannot be right whatever the endpoint does with the field.
    """

    what: str
    path: str
    body: Any
    field: str = ""
    must_fail: bool = False


def template_of(description: Description, method: str, path: str) -> str:
    """The path of the description that serves a request; what is spelled out goes first."""
    bare = API_PREFIX + path.partition("?")[0]
    fitting = [
        template
        for template, methods in description["paths"].items()
        if method.lower() in methods and _pattern(template).fullmatch(bare)
    ]
    return min(fitting, key=lambda template: template.count("{"))


def fields_of(description: Description, method: str, path: str) -> dict[str, str]:
    """The body's fields of the endpoint that serves a request, with their JSON types."""
    place = description["paths"][template_of(description, method, path)]
    content = place[method.lower()].get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    properties = _resolved(description, schema).get("properties", {})
    return {name: _type_of(description, each) for name, each in properties.items()}


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]*\}", template.rstrip("/"))
    return re.compile("[^/]+".join(map(re.escape, parts)) + "/?")


def _resolved(description: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found = schema.get("$ref") or (schema.get("allOf") or [{}])[0].get("$ref")
    if not found:
        return schema
    resolved: dict[str, Any] = description["components"]["schemas"][found.rsplit("/", 1)[1]]
    return resolved


def _type_of(description: dict[str, Any], schema: dict[str, Any]) -> str:
    for choice in schema.get("anyOf", [schema]):
        kind = _resolved(description, choice).get("type")
        if kind and kind != "null":
            return str(kind)
    return "string"


def spoiled_fields(path: str, body: dict[str, Any], fields: dict[str, str]) -> Iterator[Spoiled]:
    """Each field missing, of a wrong type, too large, hostile."""
    for name, kind in fields.items():
        for wrong in _WRONG_TYPES[kind]:
            yield Spoiled(f"{name}={wrong!r}", path, {**body, name: wrong}, name, must_fail=True)
        for large in _TOO_LARGE[kind]:
            yield Spoiled(f"{name} too large", path, {**body, name: large}, name)
        if kind == "string":
            for text in HOSTILE_TEXTS:
                yield Spoiled(f"{name}={text!r}", path, {**body, name: text})
        if name in body:
            rest = {key: value for key, value in body.items() if key != name}
            yield Spoiled(f"without {name}", path, rest)
    yield Spoiled("an unknown field", path, {**body, "__class__": {"$ref": "#"}})


def spoiled_paths(path: str, template: str, body: Any) -> Iterator[Spoiled]:
    """Each parameter of the path unknown or hostile."""
    bare, mark, query = path.partition("?")
    parts, names = bare.split("/"), template.split("/")
    for place, name in enumerate(names):
        if not name.startswith("{"):
            continue
        for value in HOSTILE_IDS:
            changed = "/".join([*parts[:place], value, *parts[place + 1 :]])
            yield Spoiled(f"{name}={value[:40]}", f"{changed}{mark}{query}", body)


#: Bodies that are none: content, and its type.
RAW_BODIES: tuple[tuple[bytes, str], ...] = (
    (b"a=b&c=d", "application/x-www-form-urlencoded"),
    (b"[1, 2]", "application/json"),
    (b'"text"', "application/json"),
    (b"{", "application/json"),
    (b"\xff\xfe\x00", "application/octet-stream"),
    (b"[" * 5000, "application/json"),
)
