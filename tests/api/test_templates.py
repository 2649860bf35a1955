# SPDX-License-Identifier: Apache-2.0
"""The default templates."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from nano_api.cloud import Cloud
from nano_api.main import create_app
from nano_api.settings import Settings
from nano_api.templates import service
from nano_api.templates.tables import SystemTemplate

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def test_there_are_nanos_five_by_name(client: TestClient) -> None:
    listed = client.get("/templates/").json()["data"]
    assert [(entry["name"], entry["id"], entry["operating_system"]) for entry in listed] == [
        ("CentOS 6", "centos-6", "linux"),
        ("CentOS 7", "centos-7", "linux"),
        ("General", "general", "linux"),
        ("Legacy", "legacy", "linux"),
        ("Windows Server 2012", "windows-server-2012", "windows"),
    ]
    for entry in listed:
        assert set(entry) == {"id", "name", "operating_system", "created_time", "modified_time"}
        assert _TIME.fullmatch(entry["created_time"])


def test_one_template_tells_its_devices_and_leaves_out_what_it_has_not(client: TestClient) -> None:
    windows = client.get("/templates/windows-server-2012").json()["data"]
    assert windows | {"created_time": "", "modified_time": ""} == {
        "id": "windows-server-2012",
        "name": "Windows Server 2012",
        "admin": "Administrator",
        "operating_system": "windows",
        "disk": "sata",
        "network": "e1000",
        "display": "vga",
        "control": "vnc",
        "usb": "nec-xhci",
        "tablet": "usb",
        "created_time": "",
        "modified_time": "",
    }
    legacy = client.get("/templates/legacy").json()["data"]
    assert not {"usb", "tablet"} & set(legacy)
    assert (legacy["disk"], legacy["network"], legacy["display"]) == ("ide", "rtl8139", "cirrus")


def test_an_unknown_template_is_named(client: TestClient) -> None:
    reply = client.get("/templates/nonsense")
    assert reply.status_code == 200
    assert reply.json() == {"error_code": 404, "message": "invalid template 'nonsense'", "data": ""}


def test_a_later_start_adds_nothing_to_what_is_there(
    settings: Settings, client: TestClient, cloud: Cloud
) -> None:
    assert client.get("/templates/").json()["error_code"] == 0
    with cloud.database.transaction() as session:
        session.delete(service.get_template(session, "legacy"))
    with TestClient(create_app(settings, background=False)):
        pass
    with cloud.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(SystemTemplate)) == 4


NEW = {
    "name": "Debian 13 Köln",
    "admin": "root",
    "operating_system": "linux",
    "disk": "scsi",
    "network": "virtio",
    "display": "none",
    "control": "spice",
    "usb": "nec-xhci",
    "tablet": "virtio",
}


def test_a_template_is_made_changed_and_deleted(shared_client: TestClient) -> None:
    first = shared_client.post("/templates/", json=NEW).json()["data"]["id"]
    second = shared_client.post("/templates/", json={**NEW, "name": "other"}).json()["data"]["id"]
    assert re.fullmatch(r"[0-9a-v]{20}", first)
    assert first != second
    found = shared_client.get(f"/templates/{first}").json()["data"]
    assert {name: found[name] for name in NEW} == NEW
    body = {name: value for name, value in NEW.items() if name not in ("usb", "tablet")}
    body = {**body, "operating_system": "windows", "disk": "ide", "display": "qxl"}
    assert shared_client.put(f"/templates/{first}", json=body).json()["error_code"] == 0
    changed = shared_client.get(f"/templates/{first}").json()["data"]
    assert {name: changed.get(name) for name in NEW} == {**body, "usb": None, "tablet": None}
    taken = shared_client.put(f"/templates/{second}", json=NEW).json()
    assert taken["message"] == "template 'Debian 13 Köln' already exists"
    for template_id in (first, second):
        assert shared_client.delete(f"/templates/{template_id}").json()["error_code"] == 0
        assert shared_client.get(f"/templates/{template_id}").json()["error_code"] == 404


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "name required"),
        ({"name": "a\nb"}, "name contains a control character"),
        ({"name": "x" * 129}, "name is longer than 128"),
        ({"name": "General"}, "template 'General' already exists"),
        ({"admin": ""}, "invalid admin ''"),
        ({"admin": "root; rm"}, "invalid admin 'root; rm'"),
        ({"operating_system": "bsd"}, "invalid operating_system 'bsd'"),
        ({"disk": "virtio"}, "invalid disk 'virtio'"),
        ({"network": ""}, "invalid network ''"),
        ({"display": "svga"}, "invalid display 'svga'"),
        ({"control": "rdp"}, "invalid control 'rdp'"),
        ({"usb": "none"}, "invalid usb 'none'"),
        ({"tablet": "none"}, "invalid tablet 'none'"),
        ({"tablet": 5}, "invalid value for 'tablet'"),
    ],
)
def test_a_template_that_cannot_be_is_refused_by_field(
    shared_client: TestClient, change: dict[str, object], message: str
) -> None:
    for method, path in (("POST", "/templates/"), ("PUT", "/templates/legacy")):
        reply = shared_client.request(method, path, json={**NEW, **change}).json()
        assert reply["error_code"] in (400, 409)
        assert message in reply["message"]
    assert len(shared_client.get("/templates/").json()["data"]) == 5
    assert shared_client.get("/templates/legacy").json()["data"]["disk"] == "ide"


def test_a_template_that_is_not_there_cannot_be_changed(shared_client: TestClient) -> None:
    for reply in (
        shared_client.put("/templates/nonsense", json=NEW).json(),
        shared_client.delete("/templates/nonsense").json(),
    ):
        assert (reply["error_code"], reply["message"]) == (404, "invalid template 'nonsense'")
