# SPDX-License-Identifier: Apache-2.0
"""Does an answer have the document's shape?

One checker for the tests in one process and those on real cells. A shape is the schema of the
document (where that is empty, its example), with every field required and no other allowed, and
then corrected by ``CORRECTIONS``: there stands each difference between the document and what the
real system, or this one, answers.
"""

from __future__ import annotations

import copy
import functools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema

from nano_api import API_PREFIX
from tests.contract.corrections import CORRECTIONS, OURS, REAL_PATHS, STATUSES

DOCUMENT: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("frontend-api-1.3.1.json").read_text()
)

Schema = dict[str, Any]


class WrongShape(AssertionError):
    """An answer is not what the document says."""


@dataclass(frozen=True)
class Endpoint:
    """``key`` is the document's number, or ``METHOD path`` of one that it does not have."""

    key: int | str
    method: str
    path: str

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        """What its addresses look like, with and without a slash at the end."""
        parts = re.split(r"\{[^}]*\}", self.path.rstrip("/"))
        return re.compile("[^/]+".join(map(re.escape, parts)) + "/?")


def plain_path(path: str) -> str:
    """A path of the document without its query: ``/logs/`` for ``/logs/{?limit}``."""
    return re.sub(r"\{\?[^}]*\}", "", path)


def _endpoints() -> list[Endpoint]:
    found = [
        Endpoint(each["number"], each["method"], plain_path(each["path"])) for each in DOCUMENT
    ]
    found += [Endpoint(number, *line.split()) for line, number in REAL_PATHS.items()]
    found += [Endpoint(line, *line.split()) for line in OURS]
    # What is spelled out goes before what is a parameter.
    return sorted(found, key=lambda each: (each.path.count("{"), -len(each.path)))


ENDPOINTS = _endpoints()


def endpoints_of(method: str, path: str) -> list[Endpoint]:
    """What a request may be meant for; the document has two pairs that look the same."""
    bare = path.split("?")[0].removeprefix(API_PREFIX)
    fitting = [each for each in ENDPOINTS if each.method == method and each.pattern.fullmatch(bare)]
    return [each for each in fitting if each.path.count("{") == fitting[0].path.count("{")]


@dataclass
class ShapeChecker:
    """Checks answers, and knows which endpoints have answered well."""

    seen: dict[int | str, int] = field(default_factory=dict)

    def check(self, method: str, path: str, status: int, envelope: Any) -> None:
        """:raises WrongShape: the answer is not one that the endpoint may give"""
        _expect(set(envelope) == {"error_code", "message", "data"}, path, f"envelope {envelope}")
        if envelope["error_code"] != 0:
            _expect(isinstance(envelope["error_code"], int), path, "error_code is no number")
            _expect(bool(envelope["message"]), path, "an error without a message")
            _expect(envelope["data"] == "" and status == 200, path, f"error {status} {envelope}")
            return
        _expect(envelope["message"] == "", path, "a success with a message")
        problems = []
        for endpoint in endpoints_of(method, path):
            problem = _problem(endpoint, status, envelope["data"])
            if problem is None:
                self.seen[endpoint.key] = self.seen.get(endpoint.key, 0) + 1
                return
            problems.append(f"{endpoint.key} {endpoint.method} {endpoint.path}: {problem}")
        raise WrongShape(f"{method} {path}: " + ("; ".join(problems) or "no such endpoint"))

    def count(self, method: str, path: str) -> None:
        """A file was downloaded: there is no envelope to look at."""
        for endpoint in endpoints_of(method, path)[:1]:
            self.seen[endpoint.key] = self.seen.get(endpoint.key, 0) + 1


def _expect(condition: bool, path: str, what: str) -> None:
    if not condition:
        raise WrongShape(f"{path}: {what}")


def _problem(endpoint: Endpoint, status: int, data: Any) -> str | None:
    allowed = statuses_of(endpoint.key)
    if status not in allowed:
        return f"HTTP {status}, allowed are {sorted(allowed)}"
    validator = jsonschema.Draft202012Validator(shape_of(endpoint.key))
    error = jsonschema.exceptions.best_match(validator.iter_errors(data))
    return None if error is None else f"{error.json_path}: {error.message[:400]}"


def statuses_of(key: int | str) -> set[int]:
    """The HTTP statuses of a success."""
    if key in STATUSES:
        return STATUSES[key]
    if isinstance(key, str):
        return {200}
    return {each["status"] for each in DOCUMENT[key - 1]["responses"]}


@functools.cache
def shape_of(key: int | str) -> Schema:
    """The JSON schema of ``data``."""
    if isinstance(key, str):
        return OURS[key]
    shape = _documented(DOCUMENT[key - 1]["responses"][-1])
    for correct in CORRECTIONS.get(key, ()):
        shape = correct(shape)
    return shape


def _documented(response: dict[str, Any]) -> Schema:
    schema: Schema = response["schema"].get("properties", {})
    if "data" in schema:
        return _strict(schema["data"])
    example = response.get("example", {})
    if "data" in example:
        return _shape_of_value(example["data"])
    return {"const": ""}  # an operation without a result


def _strict(schema: Schema) -> Schema:
    """The same with each field required, and no other."""
    strict = copy.deepcopy(schema)
    if "properties" in strict:
        strict["properties"] = {k: _strict(v) for k, v in strict["properties"].items()}
        strict["required"] = sorted(strict["properties"])
        strict["additionalProperties"] = False
    if "items" in strict:
        strict["items"] = _strict(strict["items"])
    return strict


def _shape_of_value(value: Any) -> Schema:
    if isinstance(value, dict):
        return _strict(
            {"type": "object", "properties": {k: _shape_of_value(v) for k, v in value.items()}}
        )
    if isinstance(value, list):
        return {"type": "array", "items": _shape_of_value(value[0])} if value else {"type": "array"}
    kinds = {bool: "boolean", str: "string", int: "number", float: "number"}
    return {"type": kinds[type(value)]}
