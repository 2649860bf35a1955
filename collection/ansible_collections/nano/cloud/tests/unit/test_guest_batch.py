# SPDX-License-Identifier: GPL-3.0-or-later
"""Many guests in one call: each for itself."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils.differences import Differences
from ansible_collections.nano.cloud.plugins.module_utils.errors import NotFound, PartialFailure
from ansible_collections.nano.cloud.plugins.module_utils.guest_batch import OneDone, run_batch
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost

from .test_modules import Run, run  # noqa: F401


def a_guest(number: int, **more: Any) -> dict[str, Any]:
    return {"name": f"g{number}", "disks": [{"size_bytes": 2**20}], **more}


def test_each_for_itself(run: Run, host: LibvirtHost) -> None:  # noqa: F811
    assert host.find_pool("default")
    guests = [
        a_guest(0),
        a_guest(1, memory_bytes=1),
        a_guest(2, pool="nowhere"),
        a_guest(3, cores=2, display={"password": "secret"}),
        a_guest(0),
    ]
    common = {"cores": 1, "memory_bytes": 2**28, "owner": "somebody"}
    foretold = run("guest", check=True, guests=guests, **common)
    made = run("guest", guests=guests, **common)
    for result in (foretold, made):
        assert result["failed"]
        assert result["changed"]
        assert result["error"]["code"] == "partial"
        assert result["error"]["context"]["failed"] == ["g1", "g2", "g0"]
        assert result["msg"].startswith("3 of 5 guests failed: g1: memory_bytes 1 is not in")
        assert "g2: storage pool nowhere does not exist" in result["msg"]
        assert "g0: guests[0] has the same name g0" in result["msg"]
        assert [part["before_header"] for part in result["diff"]] == ["g0", "g3"]
        codes = [(each["error"] or {}).get("code") for each in result["results"]]
        assert codes == [None, "invalid_input", "not_found", None, "conflict"]
    assert "secret" not in str(made)
    first, last = made["results"][0], made["results"][3]
    assert (first["guest"]["cores"], last["guest"]["cores"]) == (1, 2)
    assert first["guest"]["owner"] == last["guest"]["owner"] == "somebody"

    right = [a_guest(0), a_guest(1), a_guest(2), a_guest(3, cores=2)]
    again = run("guest", guests=right, **common)
    assert [each["changed"] for each in again["results"]] == [False, True, True, False]
    assert run("guest", guests=right, **common)["changed"] is False

    names = [{"name": each["name"]} for each in right]
    started = run("guest_power", guests=[*names, {"name": "none"}], state="running")
    assert started["error"]["context"]["failed"] == ["none"]
    assert [each["changed"] for each in started["results"]] == [True, True, True, True, False]
    paused = run("guest_power", guests=names[:2], state="paused")
    assert [each["guest"]["state"] for each in paused["results"]] == ["paused", "paused"]
    assert run("guest_power", guests=names[:2], state="paused")["changed"] is False
    removed = run("guest", guests=names, state="absent", force=True)
    assert all(each["changed"] and each["guest"] is None for each in removed["results"])
    assert run("guest", guests=names, state="absent")["changed"] is False


@pytest.mark.parametrize("others", [{"name": "g"}, {"id": "x"}])
def test_one_or_many(run: Run, others: dict[str, Any]) -> None:  # noqa: F811
    refused = run("guest", guests=[a_guest(0)], **others)
    assert "mutually exclusive" in refused["msg"]


def test_no_more_at_once_than_is_allowed() -> None:
    now, most, guard = 0, 0, threading.Lock()
    gate = threading.Barrier(3)

    def call(_entry: Mapping[str, Any]) -> OneDone:
        nonlocal now, most
        with guard:
            now += 1
            most = max(most, now)
        gate.wait(10)
        with guard:
            now -= 1
        return OneDone(Differences({}, {}), {}, changed=False)

    outcome = run_batch([{"name": str(n)} for n in range(9)], call, at_once=3)
    assert most == 3
    assert [each["name"] for each in outcome.results] == [str(n) for n in range(9)]


def test_a_long_list_of_failures_is_cut() -> None:
    def call(entry: Mapping[str, Any]) -> OneDone:
        raise NotFound(f"no {entry['name']}")

    with pytest.raises(PartialFailure) as failure:
        run_batch([{"name": str(n)} for n in range(12)], call, at_once=1)
    assert failure.value.message.endswith("9: no 9; and 2 more")
    assert len(failure.value.values["results"]) == 12


def test_what_nobody_foresaw_stops_no_other() -> None:
    def call(entry: Mapping[str, Any]) -> OneDone:
        if entry["name"] == "0":
            raise ZeroDivisionError("oops")
        return OneDone(Differences({}, {"a": 1}), {}, changed=True)

    with pytest.raises(PartialFailure) as failure:
        run_batch([{"name": "0"}, {"name": "1"}], call, at_once=1)
    first, second = failure.value.values["results"]
    assert first["error"]["message"] == "unexpected ZeroDivisionError: oops"
    assert second["changed"]
