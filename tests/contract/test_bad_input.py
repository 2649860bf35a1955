# SPDX-License-Identifier: Apache-2.0
"""Each good request of the walk through the API, spoiled in every way before it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from sqlite3 import Connection
from typing import Any

import pytest

from nano_api.authorization import TABLE, key_of
from nano_api.sessions import service as sessions
from nano_api.users import service as users
from nano_api.users.names import PORTAL_MENUS
from tests.contract import test_shapes as walk
from tests.contract.shapes import endpoints_of
from tests.contract.spoiling import RAW_BODIES, Spoiled, fields_of, spoiled_fields, spoiled_paths
from tests.contract.world import Database, World, a_world

#: Fields that are accepted and not used, as in Nano: nothing about their value can be wrong.
_UNUSED = frozenset({"immediate", "nonce", "mode", "format", "type"})
#: Here a wrong password makes the next try wait.
_GUARDED = frozenset({"/sessions/", "/users/{user_name}/password/"})
_REFUSALS = frozenset({400, 401, 403, 404, 409})
_STRANGER = "eve"


def _names(message: str, field: str) -> bool:
    """``name_rule`` may be called "name rule", one of ``modules`` "module"; a prefix is a name.

    "migration between pools" is Nano's own text, and so is what it says of a ``new`` password.
    """
    words = field.replace("_", " ")
    forms = (field, words, words.rstrip("s"), words.removesuffix(" prefix"), f"between {words[7:]}")
    if field == "new":
        forms = (*forms, "password")
    return any(form in message for form in forms)


class Spoiler(walk.Caller):
    """Makes every kind of call badly before it makes it well."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.description = world.call("GET", "/openapi.json").json()
        self.database = Database(world)
        self.tried: Counter[str] = Counter()
        self.problems: list[str] = []
        self._stranger = ""
        self._done: set[int | str] = set()

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The bad calls, then the good one."""
        endpoint = endpoints_of(method, path)[0]
        if endpoint.key not in self._done and "files" not in options:
            self._done.add(endpoint.key)
            self._spoil(method, endpoint.path, path, body or {})
        return super().__call__(method, path, body, **options)

    def _spoil(self, method: str, template: str, path: str, body: dict[str, Any]) -> None:
        self.world.end_jobs()  # those that nobody waited for
        before, copy = self.database.rows(), self.database.saved()
        bad = [*spoiled_paths(path, template, body)]
        fields = fields_of(self.description, method, path) if method != "GET" else {}
        if method != "GET":
            bad += spoiled_fields(path, body, fields)
        for each in bad:
            self._try(method, each, copy)
            if template in _GUARDED:
                self.database.restore(copy)
        if fields:
            for content, kind in (RAW_BODIES[0], RAW_BODIES[1 + len(self._done) % 5]):
                headers = {"Content-Type": kind}
                reply = self.world.call(method, path, content=content, headers=headers)
                self._judge(f"{method} {path} {content[:20]!r}", reply, {400}, "")
        self._try_as_stranger(method, template, path, body)
        after = self.database.rows()
        for table in before.keys() | after.keys():
            if before.get(table) != after.get(table):
                self.problems.append(f"{table} changed by a bad {method} {template}")
        self.database.restore(copy)

    def _try(self, method: str, each: Spoiled, copy: Connection) -> None:
        reply = self.world.call(method, each.path, each.body)
        self.tried["spoiled"] += 1
        what = f"{method} {each.path[:80]} with {each.what[:80]}"
        if reply.status_code in (404, 405):
            return  # another path, or none
        if not reply.headers["content-type"].startswith("application/json"):
            return
        code = reply.json()["error_code"]
        unused = each.field in _UNUSED
        if code == 0 and not (each.must_fail and not unused):
            self.database.restore(copy)  # it is right, too: nothing was wrong with it
            return
        self._judge(what, reply, _REFUSALS, "" if unused else each.field)

    def _judge(
        self,
        what: str,
        reply: Any,
        codes: frozenset[int] | set[int],
        field: str,
    ) -> None:
        envelope = reply.json()
        code, message = envelope["error_code"], envelope["message"]
        told = f"{what}: {reply.status_code} {code} {message[:200]}"
        if reply.status_code != 200 or code not in codes or envelope["data"] != "":
            self.problems.append(f"wrong answer: {told}")
        elif not message or "Traceback" in message or len(message) > 2000:
            self.problems.append(f"bad message: {told}")
        elif field and code == 400 and not _names(message, field):
            self.problems.append(f"field not named: {told}")

    def _try_as_stranger(self, method: str, template: str, path: str, body: Any) -> None:
        access = TABLE.get(key_of(method, template))
        if access is None or access.owned in (None, "session") or not self._stranger:
            return
        self.tried["foreign"] += 1
        headers = {"Nano-Session": self._stranger}
        reply = self.world.call(method, path, body, headers=headers)
        self._judge(f"{method} {path} by a stranger", reply, {403}, "")

    def admit_stranger(self) -> None:
        """Somebody with every menu but the operator's, in a group of its own."""
        with self.world.cloud.database.transaction() as session:
            users.create_role(session, _STRANGER, [m for m in PORTAL_MENUS if m != "compute_pool"])
            users.create_group(session, _STRANGER, "", [_STRANGER])
            users.create_user(session, _STRANGER, "no hash")
            users.join_group(session, _STRANGER, _STRANGER)
            self._stranger, _info = sessions.open_session(
                session, _STRANGER, address="", nonce="", lifetime_seconds=86400
            )


@pytest.fixture(scope="module")
def spoiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spoiler]:
    folder = tmp_path_factory.mktemp("spoiled")
    with a_world(folder, job_wait_seconds=5, session_timeout_seconds=86400) as world:
        yield Spoiler(world)


def test_no_bad_request_breaks_or_changes_anything(spoiler: Spoiler) -> None:
    with spoiler.world.jobs_that_end():
        walk.accounts(spoiler)
        spoiler.admit_stranger()
        walk.pools(spoiler)
        walk.images(spoiler)
        walk.templates_and_policies(spoiler)
        walk.guests(spoiler)
        walk.instances(spoiler)
        walk.batches_and_migrations(spoiler)
        walk.logs_and_tokens(spoiler)
    print(f"{dict(spoiler.tried)} bad requests of {len(spoiler._done)} endpoints")  # noqa: T201
    assert not spoiler.problems, "\n".join(spoiler.problems[:40])
