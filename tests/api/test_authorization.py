# SPDX-License-Identifier: Apache-2.0
"""Who may call what: the table is whole, and what a matrix of it does not show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from nano_api.access import OWNED_TABLES
from nano_api.authorization import OPERATOR_MENU, TABLE, key_of
from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.images.tables import Image
from nano_api.main import create_app
from nano_api.security_policies.tables import SecurityPolicyGroup
from nano_api.sessions import service as sessions
from nano_api.settings import Settings
from nano_api.users import service as users
from nano_api.users.names import PORTAL_MENUS
from nano_api.visibility import service as visibility
from tests.api.conftest import ADDRESS, small_settings
from tests.api.test_visibility import a_guest

DOCUMENT = Path(__file__).parents[1] / "contract" / "frontend-api-1.3.1.json"
REAL_ONLY = {
    "GET /sessions",
    "GET /system",
    "POST /system",
    "PUT /guests/{}/monitor/secret",
    "GET /monitor_channels/{}",
    "GET /disk_images/{}/file",
    "POST /disk_images/{}/file",
    "GET /media_images/{}/file",
    "POST /media_images/{}/file",
    "GET /compute_cell_status/{}/{}",
    "GET /instance_status/{}/{}",
    "GET /address_pools/{}/{}/ranges/{}",
    "POST /address_pools/{}/{}/ranges/{}",
    "DELETE /address_pools/{}/{}/ranges/{}",
    "GET /user_groups/{}/members",
    "PUT /guests/{}/security_policy/rules/{}",
    "DELETE /guests/{}/security_policy/rules/{}",
    "PUT /guests/{}/security_policy/rules/{}/order",
}
#: Of the service itself; ``test_monitoring`` asks them.
OUTSIDE = {"GET /healthz", "GET /readyz", "GET /metrics"}
OURS = ("/jobs", "/tokens", "/cells")

#: User → the menus of its group; the group is called as the user.
CAST = {
    "nobody": ["none"],
    "owner": ["instance", "image", "media", "policies"],
    "mate": ["instance", "image", "media", "policies"],
    "everything": [menu for menu in PORTAL_MENUS if menu != OPERATOR_MENU],
    "operator": list(PORTAL_MENUS),
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = small_settings(tmp_path_factory.mktemp("authorization") / "data")
    settings.job_wait_seconds = 0.05
    return settings


@pytest.fixture(scope="module")
def app(settings: Settings) -> FastAPI:
    return create_app(settings, background=False)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url=ADDRESS) as client:
        yield client


@pytest.fixture(scope="module")
def session_of(app: FastAPI) -> dict[str, str]:
    """User → session; ``mate`` is in the group of ``owner``, which shows all it has."""
    cloud: Cloud = app.state.cloud
    ids = {}
    with cloud.database.transaction() as session:
        for user, menu in CAST.items():
            users.create_role(session, user, menu)
            users.create_group(session, user, "", [user])
            users.create_user(session, user, "no hash")
            users.join_group(session, user, "owner" if user == "mate" else user)
        for user in CAST:
            ids[user], _info = sessions.open_session(
                session, user, address="", nonce="", lifetime_seconds=600
            )
        session.add(Cell(name="c1", address="192.0.2.1", pool="default"))
        session.flush()
        guest = a_guest(1, "owner", "owner")
        guest.monitor_secret_sealed = cloud.secrets.seal("secret")
        session.add(guest)
        common: dict[str, Any] = {"id": "g1", "name": "x", "owner": "owner", "group": "owner"}
        moment = now()
        session.add(Image(**common, tags=[], created_at=moment, modified_at=moment))
        session.add(
            SecurityPolicyGroup(
                **common, enabled=True, is_global=False, default_action="accept", rules=[]
            )
        )
    return ids


def show_all(app: FastAPI, shown: bool) -> None:
    """Whether the members of ``owner``'s group see each other's."""
    cloud: Cloud = app.state.cloud
    with cloud.database.transaction() as session:
        visibility.set_flags(session, "owner", instance=shown, disk_image=shown, media_image=shown)


def routes() -> list[tuple[str, str]]:
    """Method and path of every route of the API."""
    from nano_api.routers import ROUTERS

    return sorted(
        {
            (method, str(context.path).rstrip("/"))
            for router in ROUTERS
            for context in iter_route_contexts(router.routes)
            for method in getattr(context, "methods", None) or {"GET"}
        }
    )


ROUTES = routes()


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_has_an_entry(method: str, path: str) -> None:
    access = TABLE.get(key_of(method, path))
    assert access is not None, f"add {key_of(method, path)} to nano_api.authorization.TABLE"
    for kind in (access.owned, *(kind for _name, kind in access.mentioned)):
        assert kind in {None, "job", "session", "user", "media_image", *OWNED_TABLES}


def test_an_entry_is_a_route_or_will_be() -> None:
    routed = {key_of(method, path) for method, path in ROUTES}
    documented = {
        key_of(entry["method"], re.sub(r"\{\?[^}]*\}", "", entry["path"]))
        for entry in json.loads(DOCUMENT.read_text())
    }
    assert documented <= set(TABLE)
    for key in set(TABLE) - routed - documented - REAL_ONLY - OUTSIDE:
        raise AssertionError(f"{key} is no path that there is")


def call(
    client: TestClient, session_id: str, method: str, path: str, body: Any = None
) -> tuple[int, str]:
    reply = client.request(method, path, json=body, headers={"Nano-Session": session_id})
    return reply.json()["error_code"], reply.json()["message"]


def test_a_group_shares_what_its_flags_show(
    app: FastAPI, client: TestClient, session_of: dict[str, str]
) -> None:
    paths = ("/guests/g1", "/instances/g1", "/disk_images/g1", "/disk_images/g1/file/")
    for shown in (False, True):
        show_all(app, shown)
        for path in paths:
            code, message = call(client, session_of["mate"], "GET", path)
            assert (code == 403) is not shown
            assert shown or message.endswith("'g1' is somebody else's")
            assert call(client, session_of["everything"], "GET", path)[0] == 403
            assert call(client, session_of["owner"], "GET", path)[0] != 403
            assert call(client, session_of["operator"], "GET", path)[0] != 403


def test_lists_show_what_the_caller_may_see(
    app: FastAPI, client: TestClient, session_of: dict[str, str]
) -> None:
    def shown_to(user: str) -> int:
        header = {"Nano-Session": session_of[user]}
        counts = {
            len(client.get(f"/instance_status/{place}", headers=header).json()["data"])
            for place in ("default", "c1", "default/c1")
        }
        assert len(counts) == 1
        return counts.pop()

    show_all(app, False)
    assert [shown_to(user) for user in ("owner", "mate", "everything", "operator")] == [1, 0, 0, 1]
    show_all(app, True)
    assert [shown_to(user) for user in ("owner", "mate", "everything", "operator")] == [1, 1, 0, 1]


def test_users_see_and_change_themselves(client: TestClient, session_of: dict[str, str]) -> None:
    own, header = session_of["nobody"], "/sessions/"
    assert call(client, own, "GET", "/users/nobody") == (0, "")
    assert call(client, own, "PUT", "/users/nobody", {"nick": "No"}) == (0, "")
    assert call(client, own, "GET", "/users/owner")[0] == 403
    assert call(client, own, "PUT", "/users/owner/password/", {})[0] == 403
    assert call(client, own, "GET", header + own) == (0, "")
    assert call(client, own, "GET", header + session_of["owner"])[0] == 403
    assert call(client, session_of["everything"], "GET", header + own) == (0, "")
    assert call(client, own, "PUT", header + own) == (0, "")


def test_a_refusal_says_what_is_missing(client: TestClient, session_of: dict[str, str]) -> None:
    code, message = call(client, session_of["nobody"], "POST", "/compute_pools/p")
    assert (code, message) == (403, "this needs the menu 'compute_pool', which nobody has not")
    code, message = call(
        client, session_of["owner"], "POST", "/guests/", {"owner": "mate", "group": "owner"}
    )
    assert (code, message.partition(":")[0]) == (403, "owner must be 'owner'")
    assert call(client, session_of["operator"], "GET", "/compute_pools/p")[0] == 404


def test_nano_lets_every_session_do_everything(
    app: FastAPI, settings: Settings, client: TestClient, session_of: dict[str, str]
) -> None:
    show_all(app, False)
    settings.authorization = "menu-only"
    try:
        assert call(client, session_of["nobody"], "POST", "/compute_pools/free") == (0, "")
        assert call(client, session_of["nobody"], "DELETE", "/compute_pools/free") == (0, "")
        header = {"Nano-Session": session_of["nobody"]}
        assert len(client.get("/instance_status/c1", headers=header).json()["data"]) == 1
        assert client.get("/compute_pools/").json()["error_code"] == 401
    finally:
        settings.authorization = "enforced"
