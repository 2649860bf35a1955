# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty guests in one module call on a real cell, three of them made to fail."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import GIB, MIB, Site

pytestmark = pytest.mark.lab


@pytest.fixture
def ids(site: Site) -> Any:
    found = [str(uuid.uuid4()) for _ in range(20)]
    yield found
    site.run("guest", guests=[{"id": each} for each in found], state="absent", force=True)
    assert site.shell("virsh list --all --name | grep '^many\\.' || true") == ""


def test_twenty_guests_three_fail(site: Site, image: dict[str, Any], ids: list[str]) -> None:
    assert image["ready"]
    guests: list[dict[str, Any]] = [
        {"id": each, "name": f"many.g{number:02}", "disks": [{"size_bytes": GIB, "image": "tiny"}]}
        for number, each in enumerate(ids)
    ]
    guests[3]["disks"][0]["image"] = "not-there-yet"
    guests[7]["memory_bytes"] = 1
    site.shell(f"virsh vol-create-as default {ids[11]}_sys.qcow2 7M --format qcow2")
    common = {"cores": 1, "memory_bytes": 64 * MIB}
    begun = time.monotonic()
    made = site.run("guest", "--diff", guests=guests, **common)
    seconds = time.monotonic() - begun
    assert made["failed"]
    assert made["error"]["code"] == "partial"
    assert made["error"]["context"]["failed"] == ["many.g03", "many.g07", "many.g11"]
    for reason in (
        "many.g03: image not-there-yet is not in pool nano-images of this host: fetch it first",
        "many.g07: memory_bytes 1 is not in",
        f"many.g11: volume {ids[11]}_sys.qcow2 exists in pool default",
    ):
        assert reason in made["msg"]
    there = site.shell("virsh list --all --name | grep '^many\\.'").split()
    assert len(there) == 17
    assert not {"many.g03", "many.g07", "many.g11"} & set(there)
    print(f"17 of 20 guests made in {seconds:.1f} s, ansible-playbook included")  # noqa: T201

    guests[3]["disks"][0]["image"] = "tiny"
    del guests[7]["memory_bytes"]
    site.shell(f"virsh vol-delete {ids[11]}_sys.qcow2 default")
    second = site.check_then_real_then_again("guest", guests=guests, **common)
    changed = [each["name"] for each in second["results"] if each["changed"]]
    assert changed == ["many.g03", "many.g07", "many.g11"]
    assert len(site.shell("virsh list --all --name | grep '^many\\.'").split()) == 20

    few = [{"id": each} for each in ids[:5]]
    started = site.check_then_real_then_again("guest_power", guests=few, state="running")
    assert [each["guest"]["state"] for each in started["results"]] == ["running"] * 5
    site.check_then_real_then_again("guest_power", guests=few[:2], state="paused")
    site.check_then_real_then_again("guest_power", guests=few, state="stopped", force=True)
    site.check_then_real_then_again("guest", guests=few, state="absent")
