# SPDX-License-Identifier: Apache-2.0
"""Address pools: settings, ranges, and who gets which address."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nano_api.address_pools import service
from nano_api.address_pools.addresses import parse_range
from nano_api.cloud import Cloud
from nano_api.errors import CloudError, NoSpace

OK = {"error_code": 0, "message": "", "data": ""}
SETTINGS = {"gateway": "10.0.0.1", "provider": "dhcp", "dns": ["10.0.0.2", "10.0.0.3"]}
MASK = "255.255.255.0"


@pytest.fixture
def cloud(shared_app: FastAPI) -> Cloud:
    found: Cloud = shared_app.state.cloud
    return found


class Api:
    """Calls that must answer 200."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        reply = self._client.request(method, path, json=body)
        assert reply.status_code == 200
        return reply.json()


@pytest.fixture
def api(shared_client: TestClient) -> Api:
    return Api(shared_client)


@pytest.fixture
def pool(api: Api, cloud: Cloud) -> Iterator[str]:
    """The pool ``lan`` with 10.0.0.10-12; removed afterwards with everything in it."""
    assert api("POST", "/address_pools/lan", SETTINGS) == OK
    path = "/address_pools/lan/internal/ranges/10.0.0.10"
    assert api("POST", path, {"end": "10.0.0.12", "netmask": MASK}) == OK
    yield "lan"
    with cloud.database.transaction() as session:
        for row in service.allocations_of(session, "lan"):
            service.release(session, row.guest_id)
        service.remove(session, "lan")


def allocate(cloud: Cloud, guest_id: str) -> str:
    with cloud.database.transaction() as session:
        return service.allocate(session, "lan", guest_id)


def test_a_pool_is_made_changed_and_deleted(api: Api) -> None:
    assert api("POST", "/address_pools/p", {**SETTINGS, "mode": "both"}) == OK
    assert api("GET", "/address_pools/")["data"] == [
        {"name": "p", **SETTINGS, "addresses": 0, "allocated": 0}
    ]
    assert api("GET", "/address_pools/p")["data"] == {"name": "p", **SETTINGS}
    assert api("PUT", "/address_pools/p", {"gateway": "10.0.0.9", "provider": "cloudinit"}) == OK
    changed = {"name": "p", "gateway": "10.0.0.9", "provider": "cloudinit"}
    assert api("GET", "/address_pools/p")["data"] == changed
    assert api("POST", "/address_pools/p", SETTINGS)["error_code"] == 409
    assert api("DELETE", "/address_pools/p") == OK
    assert api("GET", "/address_pools/p")["message"] == "invalid address pool 'p'"


def test_ranges_are_listed_in_the_order_in_which_they_came(api: Api, pool: str) -> None:
    base = f"/address_pools/{pool}/internal/ranges"
    assert api("POST", f"{base}/10.0.0.2", {"end": "10.0.0.2", "netmask": MASK}) == OK
    listed = api("GET", f"{base}/")["data"]
    assert listed == [
        {"start": "10.0.0.10", "end": "10.0.0.12", "netmask": MASK},
        {"start": "10.0.0.2", "end": "10.0.0.2", "netmask": MASK},
    ]
    assert api("GET", f"{base}/10.0.0.2")["data"] == {**listed[1], "capacity": 1}
    ranges = api("GET", f"/address_pools/{pool}")["data"]["ranges"]
    assert [entry["capacity"] for entry in ranges] == [3, 1]
    assert api("GET", "/address_pools/")["data"][0]["addresses"] == 4
    assert api("DELETE", f"{base}/10.0.0.2") == OK
    assert api("GET", f"{base}/10.0.0.2")["error_code"] == 404


def test_addresses_go_to_guests_until_there_is_none(api: Api, cloud: Cloud, pool: str) -> None:
    given = {f"g{number}": allocate(cloud, f"g{number}") for number in range(3)}
    assert sorted(given.values()) == ["10.0.0.10/24", "10.0.0.11/24", "10.0.0.12/24"]
    assert allocate(cloud, "g0") == given["g0"]
    with pytest.raises(NoSpace, match="no address available in address pool 'lan'"):
        allocate(cloud, "g3")
    expected = [
        {"address": address.removesuffix("/24"), "instance": guest}
        for guest, address in sorted(given.items(), key=lambda item: item[1])
    ]
    path = f"/address_pools/{pool}/internal/ranges/10.0.0.10"
    assert api("GET", path)["data"]["allocated"] == expected
    assert api("GET", f"/address_pools/{pool}")["data"]["allocated"] == expected
    assert api("GET", "/address_pools/")["data"][0]["allocated"] == 3

    assert api("DELETE", path)["message"] == (
        "3 address(es) of range 10.0.0.10-10.0.0.12 are allocated"
    )
    assert api("DELETE", f"/address_pools/{pool}")["error_code"] == 409
    with cloud.database.transaction() as session:
        service.release(session, "g1")
        service.release(session, "nobody")
    assert allocate(cloud, "g3") == given["g1"]
    with cloud.database.reading() as session:
        assert service.address_of(session, "g1") is None
        assert service.address_of(session, "g3") == given["g1"]


def test_the_second_range_is_used_when_the_first_is_full(api: Api, cloud: Cloud, pool: str) -> None:
    path = f"/address_pools/{pool}/internal/ranges/10.0.0.4"
    assert api("POST", path, {"end": "10.0.0.5", "netmask": MASK}) == OK
    given = [allocate(cloud, f"g{number}") for number in range(5)]
    assert set(given[3:]) == {"10.0.0.4/24", "10.0.0.5/24"}


def test_the_gateway_and_the_networks_own_addresses_are_nobodys() -> None:
    whole = parse_range("10.0.0.0", "10.0.0.7", "255.255.255.248")
    gateway = IPv4Address("10.0.0.1")
    assert whole.capacity(gateway) == 5
    taken: set[IPv4Address] = set()
    while address := whole.free_address(taken, gateway, 6):
        taken.add(address)
    assert sorted(map(str, taken)) == [f"10.0.0.{n}" for n in range(2, 7)]
    assert parse_range("10.0.0.0", "10.0.0.1", "255.255.255.254").capacity(gateway) == 1


def test_a_free_address_is_looked_for_from_the_given_place_on_and_round() -> None:
    some = parse_range("10.0.0.10", "10.0.0.13", MASK)
    gateway = IPv4Address("10.0.0.1")
    assert str(some.free_address([], gateway, 2)) == "10.0.0.12"
    taken = [IPv4Address("10.0.0.12"), IPv4Address("10.0.0.13")]
    assert str(some.free_address(taken, gateway, 2)) == "10.0.0.10"


def test_a_huge_range_is_no_work() -> None:
    huge = parse_range("10.0.0.0", "10.255.255.255", "255.0.0.0")
    taken = {IPv4Address(int(huge.start) + offset) for offset in range(1000)}
    assert str(huge.free_address(taken, IPv4Address("10.0.3.232"), 0)) == "10.0.3.233"


@pytest.mark.parametrize(
    ("start", "body", "message"),
    [
        ("10.0.0.20", {}, "end required"),
        ("10.0.0.20", {"end": "10.0.0.30"}, "netmask required"),
        ("nonsense", {"end": "10.0.0.30", "netmask": MASK}, "invalid start 'nonsense'"),
        ("10.0.0.020", {"end": "10.0.0.30", "netmask": MASK}, "invalid start '10.0.0.020'"),
        ("fd00::1", {"end": "fd00::2", "netmask": MASK}, "invalid start 'fd00::1'"),
        ("10.0.0.20", {"end": "10.0.0.19", "netmask": MASK}, "end 10.0.0.19 is before start"),
        ("10.0.0.20", {"end": "10.0.1.1", "netmask": MASK}, "is not in the network 10.0.0.0/24"),
        ("10.0.0.20", {"end": "10.0.0.30", "netmask": "0.0.0.255"}, "invalid netmask '0.0.0.255'"),
        ("10.0.0.20", {"end": "10.0.0.30", "netmask": "255.0.255.0"}, "invalid netmask"),
        ("10.0.0.20", {"end": "10.0.0.30", "netmask": "0.0.0.0"}, "invalid netmask '0.0.0.0'"),
        ("10.0.0.20", {"end": "10.0.0.30", "netmask": "24"}, "invalid netmask '24'"),
        ("10.0.0.10", {"end": "10.0.0.10", "netmask": MASK}, "overlaps 10.0.0.10-10.0.0.12"),
        ("10.0.0.8", {"end": "10.0.0.10", "netmask": MASK}, "overlaps 10.0.0.10-10.0.0.12"),
        ("10.0.0.12", {"end": "10.0.0.40", "netmask": MASK}, "overlaps 10.0.0.10-10.0.0.12"),
        ("10.0.0.2", {"end": "10.0.0.40", "netmask": MASK}, "overlaps 10.0.0.10-10.0.0.12"),
    ],
)
def test_a_range_that_cannot_be_is_refused(
    api: Api, pool: str, start: str, body: Any, message: str
) -> None:
    for path in (f"{pool}/internal/ranges/{start}", f"ranges/{start}?pool={pool}"):
        refused = api("POST", f"/address_pools/{path}", body)
        assert refused["error_code"] in (400, 409)
        assert message in refused["message"]
    assert len(api("GET", f"/address_pools/{pool}")["data"]["ranges"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "a b", SETTINGS, "invalid address pool 'a b'"),
        ("POST", "n", {}, "invalid provider ''"),
        ("POST", "n", {**SETTINGS, "provider": "static"}, "invalid provider 'static'"),
        ("POST", "n", {**SETTINGS, "gateway": ""}, "gateway required"),
        ("POST", "n", {**SETTINGS, "gateway": "10.0.0.256"}, "invalid gateway '10.0.0.256'"),
        ("POST", "n", {**SETTINGS, "dns": ["x"]}, "invalid dns 'x'"),
        ("POST", "n", {**SETTINGS, "dns": ["10.0.0.1"] * 9}, "more than 8 dns servers"),
        ("PUT", "none", SETTINGS, "invalid address pool 'none'"),
        ("DELETE", "none", None, "invalid address pool 'none'"),
        ("GET", "none/internal/ranges/", None, "invalid address pool 'none'"),
        ("GET", "lan/external/ranges/", None, "unsupported range type 'external'"),
        ("GET", "lan/external/ranges/10.0.0.10", None, "unsupported range type 'external'"),
        ("GET", "lan/internal/ranges/10.0.0.11", None, "no range starts with 10.0.0.11"),
        ("DELETE", "lan/internal/ranges/10.0.0.11", None, "no range starts with 10.0.0.11"),
    ],
)
@pytest.mark.usefixtures("pool")
def test_what_cannot_be_is_refused_by_name(
    api: Api, method: str, path: str, body: Any, message: str
) -> None:
    refused = api(method, f"/address_pools/{path}", body)
    assert refused["error_code"] in (400, 404)
    assert message in refused["message"]
    assert [entry["name"] for entry in api("GET", "/address_pools/")["data"]] == ["lan"]


def test_the_documents_paths_find_the_pool_or_say_what_is_missing(api: Api, pool: str) -> None:
    path = "/address_pools/ranges/10.0.0.10"
    body = {"end": "10.0.0.12", "netmask": MASK}
    assert api("GET", path)["data"] == {"start": "10.0.0.10", **body, "capacity": 3}
    assert api("GET", "/address_pools/ranges/10.0.0.77")["message"].startswith("pool required")
    assert api("POST", path, body)["message"] == (
        "pool required: add ?pool=NAME or the field 'pool'"
    )
    assert api("POST", "/address_pools/other", SETTINGS) == OK
    assert api("POST", path, {**body, "pool": "other", "type": "internal"}) == OK
    both = "pool is ambiguous: ranges of lan, other start with 10.0.0.10; add ?pool=NAME"
    assert api("GET", path)["message"] == both
    assert api("DELETE", path)["message"] == both
    assert api("GET", f"{path}?pool={pool}")["data"]["capacity"] == 3
    twice = api("DELETE", f"{path}?pool={pool}", {"pool": "other"})["message"]
    assert twice == "pool is ambiguous: 'lan' in the query, 'other' in the body"
    kind = api("DELETE", f"{path}?pool=other&type=external")["message"]
    assert kind.startswith("unsupported range type 'external'")
    assert api("DELETE", path, {"pool": "other"}) == OK
    assert api("GET", f"{path}?pool=other")["error_code"] == 404
    assert api("DELETE", "/address_pools/other") == OK


def test_a_guest_has_one_address(api: Api, cloud: Cloud, pool: str) -> None:
    assert allocate(cloud, "g0")
    assert api("POST", "/address_pools/second", SETTINGS) == OK
    with (
        pytest.raises(CloudError, match=f"guest has an address of address pool '{pool}'"),
        cloud.database.transaction() as session,
    ):
        service.allocate(session, "second", "g0")
    assert api("DELETE", "/address_pools/second") == OK
