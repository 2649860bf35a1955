# SPDX-License-Identifier: Apache-2.0
"""Endpoint x role x own, a mate's or a foreign object: what the table says is what happens.

All cases are made from the table itself. Bodies are empty or name what the rule looks at: who is
let in is told what is missing. Deleting needs no body, and what it deletes is made again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from nano_api.access import OWNED_TABLES
from nano_api.authorization import OPERATOR_MENU, TABLE, Access, first_parameter, key_of
from nano_api.main import create_app
from tests.api.authorization_cast import ALL, CAST, RELATIONS, Cast, Relation, allowed, may_use
from tests.api.conftest import ADDRESS, PASSWORD, small_settings
from tests.api.test_authorization import ROUTES

GUARDED = [route for route in ROUTES if not TABLE[key_of(*route)].public]
#: Endpoints whose success deletes what the path names.
_DELETING = {
    "DELETE /guests/{}",
    "DELETE /disk_images/{}",
    "DELETE /media_images/{}",
    "DELETE /security_policy_groups/{}",
}
#: Where an empty one would do harm: put out the flags of the caller's group, count as a guess.
_BODIES = {
    "PUT /resource_visibilities": dict.fromkeys(
        ("instance_visible", "disk_image_visible", "media_image_visible"), True
    ),
    "PUT /users/{}/password": {"old": PASSWORD, "new": "weak"},
}

#: Method, path, headers and, where there is one, the body.
Question = tuple[str, str, dict[str, str]] | tuple[str, str, dict[str, str], Any]


class Stage:
    """The application with everybody in it; requests are made without threads or sockets."""

    def __init__(self, folder: Path) -> None:
        settings = small_settings(folder / "data")
        settings.job_wait_seconds = 0.01
        app = create_app(settings, background=False)
        self.cast = Cast(app.state.cloud)
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app)
        self._client = httpx.AsyncClient(transport=transport, base_url=ADDRESS)

    def ask(self, *questions: Question) -> list[int]:
        """The error codes of the answers, asked for all at once; 0 of a file or a stream."""

        async def together() -> list[int]:
            return await asyncio.gather(*(self._ask(*each) for each in questions))

        return self._runner.run(together())

    async def _ask(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> int:
        reply = await self._client.request(method, path, headers=headers, json=body)
        assert reply.status_code in (200, 201, 202), (method, path, reply.text)
        json = reply.headers["content-type"].startswith("application/json")
        return int(reply.json()["error_code"]) if json else 0

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()
        self.cast.cloud.database.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    found = Stage(tmp_path_factory.mktemp("matrix"))
    yield found
    found.close()


@dataclass(frozen=True)
class Caller:
    """Somebody with a session or a token."""

    user: str
    menu: frozenset[str]
    credential: str
    token: bool = False

    @property
    def headers(self) -> dict[str, str]:
        if self.token:
            return {"Authorization": f"Bearer {self.credential}"}
        return {"Nano-Session": self.credential}


def callers(cast: Cast, access: Access) -> Iterator[tuple[Caller, tuple[Relation, ...]]]:
    """Who tries an endpoint, with whose objects.

    Besides the people two tokens: one has what the table asks for and no more, the other
    everything but that.
    """
    for user in ("bare", "staff", "operator"):
        yield Caller(user, CAST[user], cast.sessions[user]), RELATIONS
    yield Caller("closed", CAST["closed"], cast.sessions["closed"]), ("mate",)
    operator = frozenset({OPERATOR_MENU}) if access.operator else frozenset[str]()
    for menu in access.menus:
        wanted = operator | {menu}
        user, token = cast.token(wanted)
        yield Caller(user, wanted, token, token=True), ("own",)
    if lacking := access.menus or operator:
        menu = ALL - lacking - {OPERATOR_MENU}
        user, token = cast.token(menu)
        yield Caller(user, menu, token, token=True), ("own",)
    if access.person:
        user, token = cast.token(ALL)
        yield Caller(user, ALL, token, token=True), ("own",)


def place_of(path: str, access: Access, caller: Caller, relation: Relation) -> str:
    """The path, its first parameter naming an object of this relation where it has an owner."""
    other = "other" if relation != "own" else caller.user
    if access.owned == "user":
        named = other
    elif access.owned == "session":
        named = caller.credential if relation == "own" else "somebody-elses"
    else:
        named = f"{access.owned}-{caller.user}-{relation}"
    place = path.replace("{" + first_parameter(path) + "}", named)
    return re.sub(r"\{[^}]*\}", "x", place)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_nobody_gets_in_without_a_session(stage: Stage, method: str, path: str) -> None:
    """None, one that never was, one that is over, and the same of tokens."""
    plain = re.sub(r"\{[^}]*\}", "x", path)
    codes = stage.ask(*((method, plain, headers) for headers in stage.cast.strangers))
    assert codes == [401] * len(codes)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_the_table_is_what_happens(stage: Stage, method: str, path: str) -> None:
    access, key = TABLE[key_of(method, path)], key_of(method, path)
    tried = RELATIONS if access.owned else RELATIONS[:1]
    if key == "PUT /sessions/{}":  # who knows a session's id has the session
        access, tried = replace(access, owned="session"), ("own",)
    cases = [
        (caller, relation)
        for caller, relations in callers(stage.cast, access)
        for relation in relations
        if relation in tried
    ]
    places = [place_of(path, access, *case) for case in cases]
    if method == "DELETE" and (access.owned in OWNED_TABLES or access.owned == "job"):
        codes = [
            _deleted(stage, key, access, *case, place)
            for case, place in zip(cases, places, strict=True)
        ]
    else:
        headers = [caller.headers for caller, _relation in cases]
        body = _BODIES.get(key)
        codes = stage.ask(*((method, *each, body) for each in zip(places, headers, strict=True)))
    wrong = [
        f"{caller.user} ({relation}, token={caller.token}): {code}"
        for (caller, relation), code in zip(cases, codes, strict=True)
        if (code == 403) is may(access, caller, relation) or code in (401, 500)
    ]
    assert not wrong, wrong


def may(access: Access, caller: Caller, relation: Relation) -> bool:
    """What the table says."""
    return allowed(access, caller.user, caller.menu, relation, token=caller.token)


def _deleted(
    stage: Stage, key: str, access: Access, caller: Caller, relation: Relation, place: str
) -> int:
    """Ask for an object that is there; the code. It goes if that is allowed, and only then."""
    kind = str(access.owned)
    made = stage.cast.put(kind, caller.user, relation)
    (code,) = stage.ask(("DELETE", place, caller.headers))
    goes = key in _DELETING and may(access, caller, relation)
    assert stage.cast.is_untouched(kind, made) is not goes, (caller, relation, code)
    return code


def _mentions() -> Iterator[tuple[str, str, str, str]]:
    for method, path in GUARDED:
        for field, kind in TABLE[key_of(method, path)].mentioned:
            yield method, path, field, kind


@pytest.mark.parametrize(("method", "path", "field", "kind"), list(_mentions()))
def test_what_a_body_or_a_query_names_must_be_the_callers_too(
    stage: Stage, method: str, path: str, field: str, kind: str
) -> None:
    access = TABLE[key_of(method, path)]
    for user in ("staff", "closed", "operator"):
        caller = Caller(user, CAST[user], stage.cast.sessions[user])
        place = place_of(path, access, caller, "own")
        for relation in RELATIONS:
            named = f"{kind}-{user}-{relation}"
            expected = may_use(kind, user, caller.menu, relation)
            several = [f"{kind}-{user}-own", named]
            codes = stage.ask(
                (method, place, caller.headers, {field: named}),
                (method, place, caller.headers, {field: several}),
                (method, f"{place}?{field}={named}", caller.headers),
            )
            assert [code != 403 for code in codes] == [expected] * 3, (user, relation, codes)


@pytest.mark.parametrize(
    ("method", "path"), [route for route in GUARDED if TABLE[key_of(*route)].owner_field]
)
def test_only_an_operator_makes_things_for_others(stage: Stage, method: str, path: str) -> None:
    access = TABLE[key_of(method, path)]
    for user in ("staff", "operator"):
        caller = Caller(user, CAST[user], stage.cast.sessions[user])
        place = place_of(path, access, caller, "own")
        own = {access.owner_field: user, "group": user}
        for change in ({}, {access.owner_field: "other"}, {"group": "other"}):
            (code,) = stage.ask((method, place, caller.headers, {**own, **change}))
            assert (code != 403) is (user == "operator" or not change), (user, change, code)
