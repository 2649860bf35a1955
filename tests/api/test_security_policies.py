# SPDX-License-Identifier: Apache-2.0
"""Security policy groups and their rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nano_api.cloud import Cloud
from nano_api.errors import CloudError
from nano_api.security_policies import service

OK = {"error_code": 0, "message": "", "data": ""}
GROUP = {
    "name": "Büro {{ 7*7 }}",
    "description": "für Linux",
    "user": "admin",
    "group": "admin",
    "enabled": True,
    "global": True,
    "default_action": "reject",
}
WEB = {"action": "accept", "protocol": "tcp", "to_port": 80}
SSH = {"action": "accept", "protocol": "tcp", "to_port": 22, "from_address": "192.0.2.1"}
DNS = {"action": "reject", "protocol": "udp", "to_port": 53, "to_address": "192.0.2.2"}
PING = {"action": "accept", "protocol": "icmp", "to_port": 0}
Call = Callable[..., Any]


@pytest.fixture
def call(shared_client: TestClient) -> Call:
    def request(method: str, path: str, body: Any = None) -> Any:
        reply = shared_client.request(method, path, json=body)
        assert reply.status_code == 200
        return reply.json()

    return request


@pytest.fixture
def path(call: Call) -> Iterator[str]:
    """The path of a new group."""
    group_id = call("POST", "/security_policy_groups/", GROUP)["data"]["id"]
    yield f"/security_policy_groups/{group_id}"
    call("DELETE", f"/security_policy_groups/{group_id}")


def test_a_group_is_made_changed_and_deleted(call: Call, path: str) -> None:
    found = call("GET", path)["data"]
    assert found == {**GROUP, "id": path.rpartition("/")[2]}
    changed = {"name": "n", "user": "u", "group": "g", "default_action": "accept"}
    assert call("PUT", path, changed) == OK
    expected = {**changed, "id": found["id"], "enabled": False, "global": False}
    assert call("GET", path)["data"] == expected
    assert call("DELETE", path) == OK
    assert call("GET", path)["error_code"] == 404


def test_a_search_meets_every_condition(call: Call) -> None:
    ids = []
    for name, enabled, is_global, user in (
        ("a", True, True, "u1"),
        ("b", True, False, "u1"),
        ("c", False, True, "u2"),
    ):
        body = {**GROUP, "name": name, "enabled": enabled, "global": is_global, "user": user}
        ids.append(call("POST", "/security_policy_groups/", body)["data"]["id"])

    def names(query: str) -> list[str]:
        found = call("GET", f"/search/security_policy_groups/{query}")["data"]
        return [entry["name"] for entry in found]

    assert names("") == ["a", "b", "c"]
    assert names("?enabled_only=true") == ["a", "b"]
    assert names("?global_only=true") == ["a", "c"]
    assert names("?enabled_only=true&global_only=true") == ["a"]
    assert names("?owner=u1&global_only=false") == ["a", "b"]
    assert names("?owner=u2&group=admin") == ["c"]
    assert names("?group=none") == []
    for group_id in ids:
        assert call("DELETE", f"/security_policy_groups/{group_id}") == OK


def test_rules_are_appended_changed_moved_and_deleted(call: Call, path: str) -> None:
    for rule in (WEB, SSH, DNS, {**PING, "to_port": 7}):
        assert call("POST", f"{path}/rules/", rule) == OK
    assert call("GET", f"{path}/rules/")["data"] == [WEB, SSH, DNS, PING]

    assert call("PUT", f"{path}/rules/1/order", {"direction": "up"}) == OK
    assert call("GET", f"{path}/rules/")["data"] == [SSH, WEB, DNS, PING]
    assert call("PUT", f"{path}/rules/1/order", {"direction": "down"}) == OK
    assert call("GET", f"{path}/rules/")["data"] == [SSH, DNS, WEB, PING]
    for place, direction, message in ((0, "up", "top"), (3, "down", "bottom"), (3, "", "bottom")):
        refused = call("PUT", f"{path}/rules/{place}/order", {"direction": direction})
        assert (refused["error_code"], refused["message"]) == (409, f"already on {message}")

    changed = {**WEB, "action": "reject"}
    assert call("PUT", f"{path}/rules/2", changed) == OK
    assert call("DELETE", f"{path}/rules/0") == OK
    assert call("GET", f"{path}/rules/")["data"] == [DNS, changed, PING]


def test_a_rule_with_the_same_target_is_refused(call: Call, path: str) -> None:
    for rule in (WEB, SSH):
        assert call("POST", f"{path}/rules/", rule) == OK
    again = call("POST", f"{path}/rules/", {**SSH, "action": "reject"})
    assert again["error_code"] == 409
    assert again["message"] == (
        "rule tcp:192.0.2.1:22 already defined in policy group 'Büro {{ 7*7 }}'"
    )
    assert call("PUT", f"{path}/rules/0", SSH)["error_code"] == 409
    assert call("PUT", f"{path}/rules/1", {**SSH, "action": "reject"}) == OK


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "name required"),
        ({"name": "a\0b"}, "name contains a control character"),
        ({"description": "x" * 1025}, "description is longer than 1024"),
        ({"user": ""}, "user required"),
        ({"group": "a b"}, "invalid group 'a b'"),
        ({"default_action": "drop"}, "invalid default_action 'drop'"),
        ({"enabled": "yes"}, "invalid value for 'enabled'"),
        ({"global": 1}, "invalid value for 'global'"),
    ],
)
def test_a_group_that_cannot_be_is_refused_by_field(
    call: Call, path: str, change: dict[str, Any], message: str
) -> None:
    for method, place in (("POST", "/security_policy_groups/"), ("PUT", path)):
        refused = call(method, place, {**GROUP, **change})
        assert refused["error_code"] == 400
        assert message in refused["message"]
    assert call("GET", path)["data"]["name"] == GROUP["name"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"action": ""}, "invalid action ''"),
        ({"protocol": "all"}, "invalid protocol 'all'"),
        ({"to_port": 0}, "to_port must be 1 to 65535, not 0"),
        ({"to_port": 65536}, "to_port must be 1 to 65535"),
        ({"to_port": "80"}, "invalid value for 'to_port'"),
        ({"from_address": "x"}, "invalid from_address 'x'"),
        ({"to_address": "192.0.2.0/24"}, "invalid to_address '192.0.2.0/24'"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_field(
    call: Call, path: str, change: dict[str, Any], message: str
) -> None:
    assert call("POST", f"{path}/rules/", SSH) == OK
    for method, place in (("POST", f"{path}/rules/"), ("PUT", f"{path}/rules/0")):
        refused = call(method, place, {**WEB, **change})
        assert refused["error_code"] == 400
        assert message in refused["message"]
    assert call("GET", f"{path}/rules/")["data"] == [SSH]


def test_what_is_not_there_is_named(call: Call, path: str) -> None:
    nothing = "/security_policy_groups/none"
    for method, place, body in (
        ("GET", nothing, None),
        ("PUT", nothing, GROUP),
        ("DELETE", nothing, None),
        ("GET", f"{nothing}/rules/", None),
        ("POST", f"{nothing}/rules/", WEB),
        ("PUT", f"{nothing}/rules/0", WEB),
        ("DELETE", f"{nothing}/rules/0", None),
        ("PUT", f"{nothing}/rules/0/order", {"direction": "up"}),
    ):
        refused = call(method, place, body)
        message = "invalid security policy group 'none'"
        assert (refused["error_code"], refused["message"]) == (404, message)
    for method, place, body in (
        ("PUT", f"{path}/rules/0", WEB),
        ("DELETE", f"{path}/rules/-1", None),
        ("PUT", f"{path}/rules/9/order", {"direction": "up"}),
    ):
        refused = call(method, place, body)
        assert refused["error_code"] == 404
        assert refused["message"].endswith("there are 0 rule(s)")
    assert "index" in call("DELETE", f"{path}/rules/x")["message"]


def test_a_guest_gets_a_copy_of_an_enabled_group(
    call: Call, path: str, shared_app: FastAPI
) -> None:
    cloud: Cloud = shared_app.state.cloud
    group_id = path.rpartition("/")[2]
    call("POST", f"{path}/rules/", SSH)
    with cloud.database.reading() as session:
        action, rules = service.policy_to_copy(session, group_id)
    assert action == "reject"
    assert [(rule.protocol, rule.from_address, rule.to_port) for rule in rules] == [
        ("tcp", "192.0.2.1", 22)
    ]
    call("PUT", path, {**GROUP, "enabled": False})
    with (
        pytest.raises(CloudError, match="is disabled"),
        cloud.database.reading() as session,
    ):
        service.policy_to_copy(session, group_id)
