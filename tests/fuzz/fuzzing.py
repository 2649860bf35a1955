# SPDX-License-Identifier: Apache-2.0
"""Schemathesis makes the requests; every answer must be what the description allows.

All run in one process without cells: jobs are submitted, and end between two endpoints. Checks of
schemathesis that judge by the HTTP status of a refusal have no meaning here (refusals are HTTP
200); instead each answer must be the envelope, without an internal error.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import select

from nano_api import API_PREFIX
from nano_api.jobs.tables import Job
from tests.api.image_files import iso, qcow2
from tests.contract.world import World, initialise

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
_ADDRESS = "http://cloud.test"
#: Ends the session or the account that everything else is tried with.
_SPARED = ("/system/",)
_INTERNAL = 500


@dataclass
class Report:
    """What was tried and what went wrong."""

    cases: int = 0
    operations: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)


def furnish(world: World) -> dict[str, list[str]]:
    """One of everything; parameter of a path → values that mean something."""
    initialise(world)
    world.add_cells("c1", "c2")
    own = {"owner": "admin", "group": "admin"}
    images = []
    for kind, content in (("disk", qcow2()), ("media", iso())):
        for name in ("full", "empty"):
            image = world.data("POST", f"/{kind}_images/", {"name": name, **own})["id"]
            images.append(image)
            if name == "full":
                path = f"/{kind}_images/{image}/file/"
                world.data("POST", path, files={"image": ("x", content)})
    policy = {"name": "p", "user": "admin", "group": "admin", "default_action": "accept"}
    group = world.data("POST", "/security_policy_groups/", {**policy, "enabled": True})["id"]
    rule = {"action": "accept", "protocol": "tcp", "to_port": 80}
    world.data("POST", f"/security_policy_groups/{group}/rules/", rule)
    net = {"gateway": "198.51.100.1", "provider": "dhcp"}
    world.data("POST", "/address_pools/net", net)
    span = {"end": "198.51.100.50", "netmask": "255.255.255.0"}
    world.data("POST", "/address_pools/net/internal/ranges/198.51.100.10", span)
    nfs = {"type": "nfs", "host": "nfs.example.org", "target": "/a"}
    world.data("POST", "/storage_pools/nfs", nfs)
    world.data("POST", "/users/ann", {"password": "Correct-horse-7"})
    world.data("POST", "/roles/reader", {"menu": ["log"]})
    world.data("POST", "/user_groups/readers", {"role": ["reader"]})
    snapshot = {
        "name": "s1",
        "description": "",
        "create_time": "2026-01-02T03:04:05Z",
        "backing": None,
        "is_root": True,
        "is_current": True,
        "running": False,
        "allocated_bytes": 1,
        "state": "ready",
    }
    guests = [
        world.guest("stopped", snapshots=[snapshot]),
        world.guest("running", running=True),
        world.data("POST", "/guests/", world.order("growing"))["id"],
    ]
    with world.cloud.database.reading() as session:
        jobs = list(session.scalars(select(Job.id)))
    return {
        "id": [*guests, group, *jobs[:2], "centos-7"],
        "image_id": images,
        "pool": ["default", "net", "nfs"],
        "cell": ["c1", "c2"],
        "name": ["s1", "net"],
        "type": ["internal"],
        "start": ["198.51.100.10"],
        "index": ["0"],
        "disk": ["0", "1"],
        "user": ["ann"],
        "group": ["readers"],
        "role": ["reader"],
    }


def fuzz(
    world: World,
    cases: int,
    seed: int,
    show: Callable[[str], None] = lambda _line: None,
    every: int = 1,
) -> Report:
    """Spread a number of cases over all endpoints, half of them against the description.

    ``every``: look at every so manieth endpoint only; to prepare one takes a while.
    """
    known = furnish(world)
    schema = schemathesis.openapi.from_asgi(f"{API_PREFIX}/openapi.json", world.app)
    operations = [found.ok() for found in schema.get_all_operations()][::every]
    report = Report(operations=len(operations))
    each = max(1, -(-cases // (2 * len(operations))))
    for operation in operations:
        bare = operation.path.removeprefix(API_PREFIX)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                strategy = operation.as_strategy(generation_mode=mode)
                _try(world, strategy, known, each, seed, report, spared=bare in _SPARED)
            except hypothesis.errors.Unsatisfiable:
                continue  # nothing can be wrong with an endpoint that takes nothing
            except (Exception, BaseExceptionGroup) as error:
                report.failures[f"{operation.label} ({mode.value})"] = str(error)
                show(f"FAILED {operation.label}: {error}")
        world.end_jobs()
        world.data("GET", "/system/")
        world.data("GET", "/compute_pools/")  # the session lives
    return report


def _try(
    world: World,
    strategy: st.SearchStrategy[Any],
    known: dict[str, list[str]],
    cases: int,
    seed: int,
    report: Report,
    *,
    spared: bool,
) -> None:
    chance = random.Random(seed)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
        print_blob=False,
    )
    @hypothesis.given(strategy)
    def one(case: Any) -> None:
        for name in case.path_parameters or ():
            if name in known and chance.random() < 0.7:
                case.path_parameters[name] = chance.choice(known[name])
        if spared and case.method == "POST":
            return
        response = _send(world, case)
        report.cases += 1
        case.validate_response(response, checks=CHECKS)
        _check_envelope(response, report)

    one()


def _send(world: World, case: Any) -> Any:
    request = case.as_transport_kwargs(base_url=_ADDRESS)
    headers = {**dict(request.pop("headers", None) or {})}
    headers["Nano-Session"] = world.client.headers["Nano-Session"]
    headers.pop("Authorization", None)
    data = request.pop("data", None)
    if isinstance(data, bytes | str):
        request["content"] = data
    elif data is not None:
        request["data"] = data
    request.pop("cookies", None)
    if request.get("files"):
        request["files"] = [(name, _file(value)) for name, value in request["files"]]
    response = world.client.request(headers=headers, **request)
    response.request.read()  # schemathesis looks at what was sent
    return response


def _file(value: Any) -> Any:
    if isinstance(value, tuple):
        return (value[0], _file(value[1]), *value[2:])
    return value if isinstance(value, bytes | str) else str(value)


def _check_envelope(response: Any, report: Report) -> None:
    if not response.headers.get("content-type", "").startswith("application/json"):
        return
    envelope = response.json()
    code = envelope["error_code"]
    report.codes[code] += 1
    assert code != _INTERNAL, f"an internal error: {envelope}"
    assert "Traceback" not in envelope["message"]
    assert code == 0 or envelope["message"], "an error without a message"
