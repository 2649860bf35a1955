# SPDX-License-Identifier: Apache-2.0
"""Each endpoint's good request with a hostile text in one place, before it is made as it should be.

A text is refused, and then nothing has changed, or it is kept: then it is read back as it was
sent, or goes to a worker as a value that Ansible does not evaluate.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import argon2
from sqlalchemy import select

from nano_api.jobs.tables import Job
from nano_api.operations import OPERATIONS
from nano_api.users import passwords
from nano_api.worker.untrusted import encode_untrusted
from tests.contract import test_shapes as walk
from tests.contract.spoiling import template_of
from tests.contract.world import Database, World
from tests.hostile.places import Place, Request, places_of, with_text
from tests.worker.hostile_texts import PRODUCT

#: Accepted and not looked at, as in Nano; any direction but "up" is down.
_UNUSED = frozenset({"immediate", "nonce", "mode", "format", "type", "direction"})
_RANGE = "/api/v1/address_pools/{pool}/{type}/ranges/{start}"  # has its pool in the path
#: What makes an endpoint look at a field that its good request does without.
_FULLER: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/v1/instances/{id}"): {"from_media": True},
}
_INSTEAD_OF = {"guests": "guest"}  # looked at where the other is missing
#: Kept so that nobody can read them.
_SECRETS = frozenset({"password", "new", "old", "cloud_init.admin_secret"})
#: Where a text is read that the same path does not show.
_READINGS = {"content": "/logs/?limit=5", "cloud_init.admin_name": "/guests/{id}/auth"}
_REFUSALS = frozenset({400, 401, 403, 404, 409})
_IN_TIME = 504  # nobody does the job here
_MOST_PROBLEMS = 60


class HostileCaller(walk.Caller):
    """Walks through the API, and tries texts in every place of every kind of request first."""

    def __init__(self, world: World, texts: Sequence[str], per_place: int, seed: int) -> None:
        super().__init__(world)
        self.description = world.call("GET", "/openapi.json").json()
        self.database = Database(world)
        self.outcomes: Counter[str] = Counter()
        self.places: Counter[str] = Counter()
        self.accepting: Counter[str] = Counter()
        self.problems: list[str] = []
        self.endpoints: set[tuple[str, str]] = set()
        self._texts, self._per_place = texts, per_place
        self._chance = random.Random(seed)
        self._known_jobs: set[str] = set()

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The texts in all places, then the good call."""
        self.harass(method, path, body, **options)
        return super().__call__(method, path, body, **options)

    def harass(self, method: str, path: str, body: Any = None, **options: Any) -> None:
        """The texts in all places of a request, once for each endpoint."""
        template = template_of(self.description, method, path)
        if (method, template) in self.endpoints:
            return
        self.endpoints.add((method, template))
        fuller = _FULLER.get((method, template))
        request = Request(method, path, {**(body or {}), **fuller} if fuller else body)
        for place in places_of(self.description, method, template):
            self._try_place(request, template, place, options)

    def untried(self) -> set[tuple[str, str]]:
        """Endpoints with texts that the walk did not reach."""
        return {
            (method.upper(), template)
            for template, methods in self.description["paths"].items()
            for method in methods
            if (method.upper(), template) not in self.endpoints
            and any(True for _ in places_of(self.description, method, template))
        }

    def _try_place(
        self, request: Request, template: str, place: Place, options: dict[str, Any]
    ) -> None:
        self.world.end_jobs()
        self.places[place.where] += 1
        if place.name in _INSTEAD_OF:
            left = {k: v for k, v in request.body.items() if k != _INSTEAD_OF[place.name]}
            request = replace(request, body=left)
        before, copy = self.database.rows(), self.database.saved()
        self._known_jobs = {str(row[0]) for row in before["jobs"]}
        for text in self._chance.sample(self._texts, self._per_place):
            sent = with_text(request, template, place, text)
            what = f"{sent.method} {template} {place.name}={text[:70]!r}"
            outcome = self._outcome(sent, template, place, text, what, options)
            self.outcomes[outcome] += 1
            if outcome not in ("refused", "no such path"):
                self.accepting[f"{sent.method} {template} {place.name}: {outcome}"] += 1
                self.database.restore(copy)
            elif place.name in _SECRETS or template.endswith("/sessions/"):
                self.database.restore(copy)  # a wrong password makes the next try wait
        after = self.database.rows()
        changed = [name for name in before if before[name] != after.get(name)]
        if changed:
            self._tell(f"{changed} changed by a refused {request.method} {template} {place.name}")
            self.database.restore(copy)
        copy.close()

    def _outcome(
        self,
        sent: Request,
        template: str,
        place: Place,
        text: str,
        what: str,
        options: dict[str, Any],
    ) -> str:
        extra = {**options, **({"data": sent.form} if sent.form else {})}
        reply = self.world.call(sent.method, sent.path, sent.body, **extra)
        if PRODUCT in reply.text:
            self._tell(f"evaluated: {what}: {reply.text[:200]}")
        if reply.status_code in (404, 405) or "json" not in reply.headers["content-type"]:
            return "no such path"
        envelope = reply.json()
        code = envelope["error_code"]
        if reply.status_code >= 400 or code not in (0, _IN_TIME, *_REFUSALS):
            self._tell(f"wrong answer: {what}: {reply.status_code} {reply.text[:200]}")
        if code in _REFUSALS:
            if not envelope["message"] or len(envelope["message"]) > 2000:
                self._tell(f"bad message: {what}: {envelope['message'][:100]}")
            return "refused"
        if sent.method == "GET" or place.where == "query" or "/search/" in sent.path:
            return "looked for"
        if place.name in _UNUSED or (sent.method, template, place.name) == ("POST", _RANGE, "pool"):
            return "unused"
        return self._kept(sent, place, text, what, envelope["data"])

    def _kept(self, sent: Request, place: Place, text: str, what: str, data: Any) -> str:
        jobs = self._submitted()
        for job in jobs:
            if bare := list(_bare(encode_untrusted(self._variables(job)))):
                self._tell(f"to be evaluated by Ansible: {what}: {bare[:3]}")
        if place.name in _SECRETS:
            if text in _strings(self.database.rows()):
                self._tell(f"a secret in clear: {what}")
            return "kept as a secret"
        if any(text == found for found in self._read(sent, place, data)):
            return "read back"
        if any(text == found for job in jobs for found in _strings(self._variables(job))):
            return "given to a worker"
        self._tell(f"not read back: {what}")
        return "lost"

    def _read(self, sent: Request, place: Place, data: Any) -> Iterator[str]:
        """The texts of what shows the object."""
        made = data.get("id", "") if isinstance(data, dict) else ""
        bare = sent.path.partition("?")[0]
        if bare == "/system/":  # who made the first account has no session yet
            yield from _strings(self.database.rows())
            return
        path = _READINGS.get(place.name, f"{bare}{made}").format(id=made)
        reply = self.world.call("GET", path)
        if "json" in reply.headers["content-type"]:
            yield from _strings(reply.json()["data"])

    def _submitted(self) -> list[Job]:
        with self.world.cloud.database.reading() as session:
            return list(session.scalars(select(Job).where(Job.id.not_in(self._known_jobs))))

    def _variables(self, job: Job) -> dict[str, Any]:
        with self.world.cloud.database.reading() as session:
            return OPERATIONS[job.operation].variables(session, self.world.cloud, job).variables

    def _tell(self, problem: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def _bare(value: Any) -> Iterator[str]:
    """Texts that are not wrapped; keys are ours."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and set(value) != {"__ansible_unsafe"}:
        for inner in value.values():
            yield from _bare(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _bare(inner)


def harass_everything(caller: HostileCaller) -> None:
    """The whole walk, and what it leaves out."""
    with caller.world.jobs_that_end():
        walk.accounts(caller)
        walk.pools(caller)
        walk.images(caller)
        walk.templates_and_policies(caller)
        walk.guests(caller)
        walk.instances(caller)
        walk.batches_and_migrations(caller)
        walk.logs_and_tokens(caller)
        for method, template in sorted(caller.untried()):
            path = template.removeprefix("/api/v1")
            known = {"pool": "default", "cell": "c1", "id": "x", "guest": "x"}
            for name, value in known.items():
                path = path.replace("{" + name + "}", value)
            caller.harass(method, path.replace("{", "").replace("}", ""))


@contextmanager
def cheap_passwords() -> Iterator[None]:
    """Passwords are hashed as always, but with little work: thousands of accounts are made."""
    usual = passwords._hasher
    passwords._hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    try:
        yield
    finally:
        passwords._hasher = usual
