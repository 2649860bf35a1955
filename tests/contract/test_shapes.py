# SPDX-License-Identifier: Apache-2.0
"""Every endpoint, documented or not, answers its success in the documented shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, update

from nano_api.address_pools.tables import AddressAllocation
from nano_api.cells.tables import Cell
from nano_api.guests.tables import Guest
from nano_api.users.names import PORTAL_MENUS
from tests.api.image_files import iso, qcow2
from tests.contract.shapes import DOCUMENT, OURS, ShapeChecker, WrongShape
from tests.contract.world import MIB, PASSWORD, World, a_world

#: Those whose success cannot be had in one process.
ELSEWHERE: dict[int | str, str] = {
    23: "always refused: the path belongs to the inventory",
}


class Caller:
    """Makes calls of a world and has each answer checked."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.checker = ShapeChecker()

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """A call that must succeed in the right shape; its data."""
        reply = self.world.call(method, path, body, **options)
        envelope = reply.json()
        assert envelope["error_code"] == 0, (method, path, envelope)
        self.checker.check(method, path, reply.status_code, envelope)
        return envelope["data"]

    def file(self, path: str) -> bytes:
        """A download."""
        reply = self.world.call("GET", path)
        assert reply.status_code == 200
        assert not reply.headers["content-type"].startswith("application/json"), reply.text
        self.checker.count("GET", path)
        return reply.content


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with a_world(tmp_path_factory.mktemp("shapes")) as world:
        yield Caller(world)


def test_every_endpoint_answers_in_the_documented_shape(call: Caller) -> None:
    with call.world.jobs_that_end():
        accounts(call)
        pools(call)
        images(call)
        templates_and_policies(call)
        guests(call)
        instances(call)
        batches_and_migrations(call)
        logs_and_tokens(call)
    a_job_that_waits(call)
    with call.world.jobs_that_end():
        farewell(call)

    seen = call.checker.seen
    expected = {*(each["number"] for each in DOCUMENT), *OURS}
    missing = expected - seen.keys()
    documented = sum(isinstance(key, int) for key in seen)
    print(f"{documented} of {len(DOCUMENT)} documented and {len(seen) - documented} other")  # noqa: T201
    print(f"endpoints answered in their shape; {sum(seen.values())} answers")  # noqa: T201
    for key, reason in ELSEWHERE.items():
        print(f"left out: {key}: {reason}")  # noqa: T201
    assert missing == ELSEWHERE.keys(), sorted(map(str, missing))


def test_the_checker_finds_what_is_wrong() -> None:
    good = {"error_code": 0, "message": "", "data": ["admin"]}
    checker = ShapeChecker()
    checker.check("GET", "/roles/", 200, good)
    for path, status, envelope in (
        ("/roles/", 201, good),
        ("/roles/", 200, {**good, "data": [1]}),
        ("/roles/", 200, {**good, "data": None}),
        ("/roles/", 200, {**good, "message": "fine"}),
        ("/roles/", 200, {"error_code": 0, "data": []}),
        ("/roles/", 400, {"error_code": 400, "message": "no", "data": ""}),
        ("/roles/", 200, {"error_code": 400, "message": "", "data": ""}),
        ("/roles/", 200, {"error_code": 400, "message": "no", "data": {}}),
        ("/no_such_thing/", 200, good),
        ("/users/x", 200, {**good, "data": {"name": "x", "secret": "y"}}),
        ("/compute_pools/x", 200, {**good, "data": {"name": "x"}}),
    ):
        with pytest.raises(WrongShape):
            checker.check("GET", path, status, envelope)


def accounts(call: Caller) -> None:
    account = {"user": "admin", "password": PASSWORD}
    assert call("GET", "/system/")["ready"] is False
    call("POST", "/system/", {**account, "menu": list(PORTAL_MENUS)})
    opened = call("POST", "/sessions/", {**account, "nonce": "0123456789abcdef"})
    call.world.client.headers["Nano-Session"] = opened["session"]
    call("PUT", f"/sessions/{opened['session']}")
    call("GET", f"/sessions/{opened['session']}")
    call("GET", "/sessions/")
    call("POST", "/roles/reader", {"menu": ["dashboard"]})
    call("PUT", "/roles/reader", {"menu": ["dashboard", "log"]})
    call("GET", "/roles/")
    call("GET", "/roles/reader")
    call("POST", "/user_groups/readers", {"display": "They read", "role": ["reader"]})
    call("PUT", "/user_groups/readers", {"display": "They still read", "role": ["reader"]})
    call("GET", "/user_groups/")
    call("GET", "/user_groups/readers")
    call("POST", "/users/ann", {"password": PASSWORD, "nick": "Ann", "mail": "ann@example.org"})
    call("PUT", "/users/ann", {"nick": "Anna"})
    call("GET", "/users/")
    call("GET", "/users/ann")
    assert call("GET", "/user_search/") == ["ann"]
    call("POST", "/user_groups/readers/members/ann")
    assert call("GET", "/user_search/?group=readers") == ["ann"]
    call("GET", "/user_groups/readers")
    call("GET", "/user_groups/readers/members/")
    call("GET", "/user_groups/members/?group=readers")
    call("PUT", "/users/ann/password/", {"old": PASSWORD, "new": PASSWORD + "8"})
    call("PUT", "/resource_visibilities/", {"instance_visible": True})
    call("GET", "/resource_visibilities/")


def pools(call: Caller) -> None:
    call("POST", "/storage_pools/nfs1", {"type": "nfs", "host": "nfs.example.org", "target": "/a"})
    call("PUT", "/storage_pools/nfs1", {"type": "nfs", "host": "nfs.example.org", "target": "/b"})
    call("GET", "/storage_pools/")
    call("GET", "/storage_pools/nfs1")
    net = {"gateway": "198.51.100.1", "provider": "dhcp", "dns": ["198.51.100.2"]}
    call("POST", "/address_pools/net1", net)
    call("PUT", "/address_pools/net1", {**net, "dns": []})
    span = {"end": "198.51.100.50", "netmask": "255.255.255.0"}
    call("POST", "/address_pools/net1/internal/ranges/198.51.100.10", span)
    call("GET", "/address_pools/net1/internal/ranges/")
    call("GET", "/address_pools/net1/internal/ranges/198.51.100.10")
    call("DELETE", "/address_pools/net1/internal/ranges/198.51.100.10")
    start = "/address_pools/ranges/198.51.100.10"
    call("POST", start, {**span, "pool": "net1", "type": "internal"})
    call("GET", f"{start}?pool=net1")
    call("GET", "/address_pools/")
    call("GET", "/address_pools/net1")
    call.world.add_cells("c1", "c2", pool=None)
    call("GET", "/compute_pool_cells/")
    call("POST", "/compute_pools/lab", {"network": "net1"})
    call("PUT", "/compute_pools/lab", {})
    call("GET", "/compute_pools/")
    call("GET", "/compute_pools/lab")
    for name in ("c1", "c2"):
        call("POST", f"/compute_pool_cells/default/{name}")
    with call.world.cloud.database.transaction() as rows:
        for name in ("c1", "c2"):
            rows.get_one(Cell, name).pool = "default"
    call("GET", "/compute_pool_cells/default")
    call("GET", "/compute_pool_cells/default/c1")
    for enable in (False, True):
        call("PUT", "/compute_pool_cells/default/c2", {"enable": enable})
    call("PUT", "/compute_pools/default", {"network": "net1"})
    call("GET", "/compute_zone_status/")
    call("GET", "/compute_pool_status/")
    call("GET", "/compute_pool_status/default")
    call("GET", "/compute_cell_status/default")
    call("GET", "/compute_cell_status/c1")
    call("GET", "/compute_cell_status/default/c1")
    call("GET", "/compute_cell_status/default/c1/storages/")


def images(call: Caller) -> None:
    own = {"owner": "admin", "group": "admin"}
    for kind, content in (("disk", qcow2()), ("media", iso())):
        one = call("POST", f"/{kind}_images/", {"name": kind, **own, "tags": ["linux"]})["id"]
        path = f"/{kind}_images/{one}"
        call("GET", path)
        call("POST", f"{path}/file/", files={"image": ("x", content)})
        call("GET", path)
        call("PUT", path, {"description": "a disk or a disc"})
        call("GET", f"/{kind}_image_search/?tags=linux&tags=bsd")
        assert call.file(f"{path}/file/") == content
        other = call("POST", f"/{kind}_images/", {"name": f"{kind}2", **own})["id"]
        call("POST", f"/{kind}_image_files/{other}", files={"image": ("x", content)})
        call("GET", f"/{kind}_images/{other}")
        call("DELETE", f"/{kind}_images/{other}")
        call("PATCH", f"/{kind}_images/", own)
    (medium,) = call("GET", "/media_images/")
    assert call.file(f"/media_image_files/{medium['id']}")


def templates_and_policies(call: Caller) -> None:
    template = {
        "name": "BSD",
        "admin": "root",
        "operating_system": "linux",
        "disk": "scsi",
        "network": "virtio",
        "display": "vga",
        "control": "vnc",
    }
    one = call("POST", "/templates/", template)["id"]
    call("PUT", f"/templates/{one}", {**template, "usb": "nec-xhci", "tablet": "usb"})
    call("GET", "/templates/")
    call("GET", f"/templates/{one}")
    call("GET", "/templates/legacy")
    call("DELETE", f"/templates/{one}")
    group = {"name": "web", "user": "admin", "group": "admin", "default_action": "reject"}
    one = call("POST", "/security_policy_groups/", {**group, "enabled": True})["id"]
    path = f"/security_policy_groups/{one}"
    call("PUT", path, {**group, "enabled": True, "global": True, "description": "for the web"})
    call("GET", path)
    call("GET", "/search/security_policy_groups/?enabled_only=true&global_only=true")
    rule = {"action": "accept", "protocol": "tcp", "to_port": 80}
    call("POST", f"{path}/rules/", rule)
    call("POST", f"{path}/rules/", {**rule, "to_port": 22, "from_address": "198.51.100.7"})
    call("GET", f"{path}/rules/")
    call("PUT", f"{path}/rules/0", {**rule, "to_port": 443})
    call("PUT", f"{path}/rules/0/order", {"direction": "down"})
    call("DELETE", f"{path}/rules/0")
    call("GET", f"{path}/rules/")


def guests(call: Caller) -> None:
    world = call.world
    (image,) = call("GET", "/disk_image_search/")
    (policy,) = call("GET", "/search/security_policy_groups/")
    order = world.order("web", from_image=image["id"], security_policy_group=policy["id"])
    order["modules"] = ["qemu"]
    made = call("POST", "/guests/", {**order, "qos": {"cpu_priority": "low", "read_iops": 100}})
    guest = f"/guests/{made['id']}"
    call("GET", guest)  # 201
    call("GET", "/guest_search/?pool=default")
    world.end_jobs()
    world.set_guest(made["id"], state="created", network_address="198.51.100.9")
    call("GET", guest)  # 200
    call("GET", "/guest_search/?pool=default&status=0&created=true")
    call("POST", "/search/guests/", {"keyword": "web"})
    call("GET", "/instance_status/default")
    call("GET", "/instance_status/c1")
    call("GET", f"/instance_status/default/{call('GET', guest)['cell']}")
    call("GET", "/address_pools/net1")
    call("GET", "/address_pools/net1/internal/ranges/198.51.100.10")
    call("PUT", f"{guest}/auto_start", {"enable": True})
    call("PUT", f"{guest}/cores", {"cores": 4})
    call("PUT", f"{guest}/memory", {"memory": 128 * MIB})
    call("PUT", f"{guest}/disks/resize/1", {"size": 128 * MIB})
    call("PUT", f"{guest}/name/", {"name": "admin.www"})
    call("PUT", f"{guest}/qos/cpu", {"priority": "medium"})
    call("PUT", f"{guest}/qos/disk", {"read_iops": 500, "write_speed": MIB})
    call("PUT", f"{guest}/qos/network", {"receive_speed": MIB})
    call("PUT", f"{guest}/monitor/secret")
    call("PUT", f"{guest}/disks/shrink/1", {"immediate": True})
    world.set_guest(made["id"], running=True)
    call("PUT", f"{guest}/auth", {"user": "root", "password": PASSWORD})
    call("GET", f"{guest}/auth")
    world.set_guest(made["id"], running=False)
    call("PUT", f"{guest}/system/", {"from_image": image["id"]})
    world.end_jobs()
    world.set_guest(made["id"], state="created")
    call("GET", f"{guest}/security_policy/")
    call("PUT", f"{guest}/security_policy/default_action", {"action": "accept"})
    rules = f"{guest}/security_policy/rules"
    rule = {"action": "accept", "protocol": "udp", "to_port": 53}
    call("POST", f"{rules}/", rule)
    world.set_guest(
        made["id"],
        policy={
            "default_action": "accept",
            "rules": [
                {**rule, "from_address": "", "to_address": ""},
                {**rule, "from_address": "", "to_address": "", "to_port": 54},
            ],
        },
    )
    call("GET", f"{guest}/security_policy/")
    call("PUT", f"{rules}/0", {**rule, "to_port": 55})
    call("PUT", f"{rules}/0/order", {"direction": "down"})
    call("DELETE", f"{rules}/0")
    there = f"/guests/security_policy/rules/1?id={made['id']}"
    call("PUT", there, {**rule, "to_port": 56})
    call("PUT", there.replace("/1?", "/1/order?"), {"direction": "up"})
    call("DELETE", there)


def instances(call: Caller) -> None:
    world = call.world
    guest_id = world.guest("ran")
    (medium,) = call("GET", "/media_images/")
    one = f"/instances/{guest_id}"
    call("GET", one)
    call("POST", one)
    world.set_guest(guest_id, running=True)
    call("GET", one)
    call("POST", f"{one}/media", {"source": medium["id"]})
    world.set_guest(guest_id, media_id=medium["id"])
    call("GET", one)
    call("DELETE", f"{one}/media")
    call("POST", "/monitor_channels/", {"guest": guest_id})
    call("DELETE", one, {"reboot": True})
    call("DELETE", one)
    world.set_guest(guest_id, running=False)
    call("POST", f"{one}/snapshots/", {"name": "first", "description": "as it came"})
    assert call("GET", f"{one}/snapshots/") == {}
    common = {"description": "", "create_time": "2026-01-02T03:04:05Z", "running": False}
    common |= {"allocated_bytes": 1, "state": "ready"}
    world.set_guest(
        guest_id,
        snapshots=[
            {**common, "name": "first", "backing": None, "is_root": True, "is_current": False},
            {**common, "name": "next", "backing": "first", "is_root": False, "is_current": True},
        ],
    )
    call("GET", f"{one}/snapshots/")
    call("GET", f"{one}/snapshots/next")
    call("PUT", f"{one}/snapshots/", {"target": "first"})
    call("DELETE", f"{one}/snapshots/first")
    call("DELETE", f"/guests/{guest_id}", {})


def batches_and_migrations(call: Caller) -> None:
    world = call.world
    order = {**world.order(""), "name_rule": "order", "name_prefix": "many", "count": 2}
    del order["name"]
    ids = []
    for kind, body in (("create", order), ("stop", {}), ("delete", {})):
        if kind != "create":
            body = {"guest": ids}
            for guest_id in ids:
                world.set_guest(guest_id, state="created", running=kind == "stop")
        batch = call("POST", f"/batch/{kind}_guest/", body)["id"]
        items = call("GET", f"/batch/{kind}_guest/{batch}")
        ids = [item["id"] for item in items] if kind == "create" else ids
        world.end_jobs()
        call("GET", f"/batch/{kind}_guest/{batch}")
    for guest_id in ids:
        world.set_guest(guest_id, state="created")
    cell = call("GET", f"/guests/{ids[0]}")["cell"]
    other = {"c1": "c2", "c2": "c1"}[cell]
    body = {"source_pool": "default", "source_cell": cell, "target_cell": other}
    one = call("POST", "/migrations/", {**body, "instances": ids[:1]})["id"]
    call("GET", "/migrations/")
    call("GET", f"/migrations/{one}")


def logs_and_tokens(call: Caller) -> None:
    call("POST", "/logs/", {"content": "admin.admin(192.0.2.7) : looked around"})
    page = call("GET", "/logs/?limit=2&start=0")
    call("DELETE", "/logs/", {"entries": [page["logs"][0]["id"]]})
    made = call("POST", "/tokens/", {"name": "robot", "menu": ["log"], "days": 1})
    call("GET", "/tokens/")
    call("DELETE", f"/tokens/{made['id']}")
    recent = call("GET", "/jobs/?limit=1")
    job = f"/jobs/{recent[0]['id']}"
    call("GET", job)
    call.file(f"{job}/log")
    call.world.end_jobs()
    call.file(f"{job}/events")


def a_job_that_waits(call: Caller) -> None:
    call("POST", "/guests/", call.world.order("never"))
    (job,) = call("GET", "/jobs/?limit=1&state=queued")
    call("DELETE", f"/jobs/{job['id']}")
    call.world.end_jobs()


def farewell(call: Caller) -> None:
    """What was made goes again."""
    with call.world.cloud.database.transaction() as rows:
        rows.execute(delete(AddressAllocation))
        rows.execute(delete(Guest))
        rows.execute(update(Cell).where(Cell.name == "c2").values(alive=False))
    for kind in ("disk", "media"):
        (image,) = call("GET", f"/{kind}_image_search/")
        call("DELETE", f"/{kind}_images/{image['id']}")
    (policy,) = call("GET", "/search/security_policy_groups/")
    call("DELETE", f"/security_policy_groups/{policy['id']}")
    call("DELETE", "/compute_pool_cells/default/c1")
    call("PUT", "/compute_pools/default", {})
    call("DELETE", "/compute_pools/lab")
    call("DELETE", "/address_pools/ranges/198.51.100.10", {"pool": "net1"})
    call("DELETE", "/address_pools/net1")
    call("DELETE", "/storage_pools/nfs1")
    call("DELETE", "/user_groups/readers/members/ann")
    call("DELETE", "/users/ann")
    call("DELETE", "/user_groups/readers")
    call("DELETE", "/roles/reader")
