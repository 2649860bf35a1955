# SPDX-License-Identifier: Apache-2.0
"""A guest's own security policy on the wire: read, and refused before a job is made."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.guests import policies
from nano_api.jobs.tables import Job
from nano_api.security_policies.rules import checked_rule
from tests.api.test_visibility import a_guest

HTTP = checked_rule("accept", "tcp", "", "", 80)
PING = checked_rule("reject", "icmp", "192.0.2.7", "", 0)


@pytest.fixture(autouse=True)
def guest(cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        session.add(Cell(name="c1", address="192.0.2.1", pool="default", alive=True))
        session.flush()
        for number in range(2):
            row = a_guest(number, "admin", "admin")
            row.state = "created"
            session.add(row)
            if number == 0:
                row.policy = policies.stored("reject", [HTTP, PING])


def test_reading(client: TestClient) -> None:
    found = client.get("/guests/g0/security_policy/").json()["data"]
    assert found == {
        "default_action": "reject",
        "rules": [
            {"action": "accept", "protocol": "tcp", "to_port": 80},
            {"action": "reject", "protocol": "icmp", "from_address": "192.0.2.7", "to_port": 0},
        ],
    }
    none = client.get("/guests/g1/security_policy/").json()["data"]
    assert none == {"default_action": "accept", "rules": []}


def test_the_modules_options() -> None:
    assert policies.module_options("g0", policies.stored("reject", [HTTP, PING])) == {
        "name": "g0",
        "default_action": "drop",
        "rules": [
            {
                "action": "accept",
                "protocol": "tcp",
                "ports": ["80"],
                "source": None,
                "target": None,
            },
            {
                "action": "drop",
                "protocol": "icmp",
                "ports": [],
                "source": "192.0.2.7",
                "target": None,
            },
        ],
    }


RULE = {"action": "accept", "protocol": "tcp", "to_port": 443}


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("PUT", "g0/security_policy/default_action", {}, "invalid action ''"),
        ("PUT", "g0/security_policy/default_action", {"action": "reject"}, "no need to modify"),
        ("POST", "g0/security_policy/rules/", {}, "invalid action ''"),
        ("POST", "g0/security_policy/rules/", {**RULE, "to_port": 80}, "already defined in guest"),
        ("POST", "g0/security_policy/rules/", {**RULE, "to_port": 0}, "to_port must be"),
        ("PUT", "g0/security_policy/rules/5", RULE, "invalid rule index 5"),
        ("PUT", "g0/security_policy/rules/x", RULE, "invalid value for 'index'"),
        ("DELETE", "g0/security_policy/rules/2", None, "invalid rule index 2"),
        ("PUT", "g0/security_policy/rules/0/order", {"direction": "up"}, "already on top"),
        ("PUT", "none/security_policy/rules/0", RULE, "invalid guest 'none'"),
        ("PUT", "security_policy/rules/0", RULE, "say which guest is meant"),
        ("PUT", "security_policy/rules/0?id=g0", {**RULE, "guest": "g1"}, "not several"),
        ("DELETE", "security_policy/rules/7?id=g0", None, "invalid rule index 7"),
        ("DELETE", "security_policy/rules/7", {"guest": "g0"}, "invalid rule index 7"),
        ("PUT", "security_policy/rules/1/order?id=g0", {}, "already on bottom"),
    ],
)
def test_what_is_refused(
    client: TestClient, cloud: Cloud, method: str, path: str, body: Any, message: str
) -> None:
    answer = client.request(method, f"/guests/{path}", json=body).json()
    assert message in answer["message"]
    assert answer["error_code"] in (400, 404, 409)
    with cloud.database.reading() as session:
        assert session.scalar(select(Job.id)) is None
