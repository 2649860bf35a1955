# SPDX-License-Identifier: Apache-2.0
"""What the members of a group see of each other's."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest

OFF = {"instance_visible": False, "disk_image_visible": False, "media_image_visible": False}
PATH = "/resource_visibilities/"


def put(client: TestClient, flags: dict[str, bool]) -> None:
    reply = client.put(PATH, json=flags)
    assert reply.json() == {"error_code": 0, "message": "", "data": ""}


@pytest.fixture
def resources(shared_app: FastAPI, shared_client: TestClient) -> TestClient:
    """One image and one guest of each kind of owner; the caller is admin of admin."""
    cloud: Cloud = shared_app.state.cloud
    owners = (("admin", "elsewhere"), ("other", "admin"), ("other", "elsewhere"))
    with cloud.database.transaction() as session:
        if session.get(Cell, "c1"):
            return shared_client
        session.add(Cell(name="c1", address="192.0.2.1", pool="default"))
        session.flush()
        for number, (owner, group) in enumerate(owners):
            session.add(a_guest(number, owner, group))
    for owner, group in owners:
        body = {"name": "i", "owner": owner, "group": f"{group}"}
        if (owner, group) == ("other", "elsewhere"):
            body["name"] = "j"
        assert shared_client.post("/disk_images/", json=body).json()["error_code"] == 0
    return shared_client


def a_guest(number: int, owner: str, group: str) -> Guest:
    return Guest(
        id=f"g{number}",
        name=f"{group}.g{number}",
        owner=owner,
        group=group,
        pool="default",
        cell="c1",
        cores=1,
        memory_bytes=1 << 30,
        disks=[1 << 30],
        template_id="general",
        hardware={"operating_system": "linux", "control": "vnc"},
        modules=[],
        mac=f"00:16:3e:00:00:0{number}",
        display_port=5901 + number,
        monitor_secret_sealed="",
        state="created",
    )


def test_nothing_is_visible_until_it_is_switched_on(shared_client: TestClient) -> None:
    assert shared_client.get(PATH).json()["data"] == OFF


def test_a_put_replaces_all_flags(shared_client: TestClient) -> None:
    put(shared_client, {"instance_visible": True, "media_image_visible": True})
    expected = {**OFF, "instance_visible": True, "media_image_visible": True}
    assert shared_client.get(PATH).json()["data"] == expected
    put(shared_client, {})
    assert shared_client.get(PATH).json()["data"] == OFF
    wrong = shared_client.put(PATH, json={"instance_visible": 1}).json()
    assert wrong["error_code"] == 400
    assert "instance_visible" in wrong["message"]


@pytest.mark.parametrize(
    ("flags", "images", "guests"),
    [
        ({}, {("admin", "elsewhere")}, {"g0"}),
        ({"media_image_visible": True}, {("admin", "elsewhere")}, {"g0"}),
        (
            {"disk_image_visible": True},
            {("admin", "elsewhere"), ("other", "admin")},
            {"g0"},
        ),
        ({"instance_visible": True}, {("admin", "elsewhere")}, {"g0", "g1"}),
    ],
)
def test_each_flag_shows_its_own_kind_of_the_own_group(
    resources: TestClient, flags: dict[str, bool], images: Any, guests: set[str]
) -> None:
    put(resources, flags)
    found = resources.get("/disk_image_search/").json()["data"]
    assert {(image["owner"], image["group"]) for image in found} == images
    listed = resources.get("/guest_search/?pool=default&owner=other").json()["data"]
    assert {guest["id"] for guest in listed} == guests
