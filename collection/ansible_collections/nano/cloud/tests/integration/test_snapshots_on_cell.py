# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots on a real cell: every byte of every state, with trees, running guests and kills."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import (
    MIB,
    Site,
    basis,
    console,
    wait_for,
)
from ansible_collections.nano.cloud.tests.integration.snapshots import (
    State,
    ask,
    assert_state,
    files_of,
    paths_of,
    present_paths,
    say,
    tree_of,
    write,
)

pytestmark = pytest.mark.lab

TWO_DISKS = [{"size_bytes": 64 * MIB}, {"size_bytes": 32 * MIB}]


def take(site: Site, guest_id: str, name: str, **options: Any) -> dict[str, Any]:
    made = site.run("snapshot", id=guest_id, snapshot=name, **options)
    assert made.get("changed"), made
    return made


def test_a_tree_of_a_stopped_guest(site: Site, guest_id: str) -> None:
    site.run("guest", **basis(guest_id, disks=TWO_DISKS))
    kept: dict[str, State] = {}
    state: State = [{}, {}]

    def snapshot(name: str) -> None:
        take(site, guest_id, name)
        kept[name] = copy.deepcopy(state)

    def assert_all() -> None:
        for name, expected in kept.items():
            assert_state(site, paths_of(site, guest_id, name), expected)
        assert_state(site, present_paths(site, guest_id), state)

    def restore(name: str) -> None:
        nonlocal state
        back = site.run("snapshot", id=guest_id, snapshot=name, state="restored")
        assert back.get("changed"), back
        state = copy.deepcopy(kept[name])

    write(site, guest_id, state, 0, 0, 1)
    write(site, guest_id, state, 1, 0, 2)
    made = site.check_then_real_then_again(
        "snapshot", id=guest_id, snapshot="origin", description="the <first>"
    )
    kept["origin"] = copy.deepcopy(state)
    assert made["snapshot"]["is_root"]
    assert made["snapshot"]["description"] == "the <first>"
    write(site, guest_id, state, 0, 512, 3)
    snapshot("one")
    write(site, guest_id, state, 0, 0, 4)
    write(site, guest_id, state, 1, 1024, 5)
    snapshot("two")
    write(site, guest_id, state, 0, 1024, 6)
    assert_all()

    back = site.check_then_real_then_again(
        "snapshot", id=guest_id, snapshot="one", state="restored"
    )
    assert back["snapshot"]["is_current"]
    state = copy.deepcopy(kept["one"])
    write(site, guest_id, state, 0, 2048, 7)
    snapshot("branch 枝")
    restore("origin")
    write(site, guest_id, state, 1, 512, 8)
    snapshot("other")
    write(site, guest_id, state, 0, 512, 9)
    assert_all()
    tree = {each["name"]: each["backing"] for each in tree_of(site, guest_id)["snapshots"]}
    assert tree == {
        "origin": None,
        "one": "origin",
        "two": "one",
        "branch 枝": "one",
        "other": "origin",
    }

    grown = [{"size_bytes": 128 * MIB}, {"size_bytes": 32 * MIB}]
    site.check_then_real_then_again("guest", id=guest_id, disks=grown)
    site.check_then_real_then_again("guest", id=guest_id, name=f"renamed.{guest_id[:8]}")
    assert_all()

    def delete(name: str) -> None:
        site.check_then_real_then_again("snapshot", id=guest_id, snapshot=name, state="absent")
        del kept[name]
        assert_all()

    delete("one")  # two children
    assert {each["name"]: each["backing"] for each in tree_of(site, guest_id)["snapshots"]} == {
        "origin": None,
        "two": "origin",
        "branch 枝": "origin",
        "other": "origin",
    }
    delete("origin")  # the root, with three
    restore("two")
    assert_all()
    delete("other")  # a leaf that is not current
    delete("two")  # the current one
    assert tree_of(site, guest_id)["current"] is None
    restore("branch 枝")
    assert_all()
    write(site, guest_id, state, 0, 512, 10)
    delete("branch 枝")
    assert tree_of(site, guest_id) == {
        **tree_of(site, guest_id),
        "current": None,
        "snapshots": [],
    }
    assert len(files_of(site, guest_id)) == 2
    check = site.shell(
        "; ".join(f"qemu-img check {path}" for path in present_paths(site, guest_id))
    )
    assert check.count("No errors") == 2


def test_a_running_guest_and_its_memory(site: Site, image: dict[str, Any], guest_id: str) -> None:
    disks = [{"size_bytes": 2**31, "image": image["id"]}, {"size_bytes": 32 * MIB}]
    site.run("guest", **basis(guest_id, disks=disks))
    site.run("guest_power", id=guest_id, state="running")
    wait_for("the shell", lambda: "guest-ready" in console(site, guest_id))
    wait_for("the disk", lambda: ask(site, guest_id, "cat /proc/partitions | grep -c sdb") == "1")

    def put(word: str) -> None:
        say(site, guest_id, f"MARK={word}; printf {word} | dd of=/dev/sdb conv=fsync; sync")
        wait_for(word, lambda: ask(site, guest_id, "echo $MARK") == word)
        wait_for(word, lambda: word in on_disk())

    def on_disk() -> str:
        return ask(site, guest_id, "echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/sdb bs=5 count=1")

    put("word1")
    made = site.check_then_real_then_again("snapshot", id=guest_id, snapshot="m", memory=True)
    assert made["snapshot"]["running"]
    assert site.guest(guest_id)["restart_required"] == []
    put("word2")
    site.check_then_real_then_again("snapshot", id=guest_id, snapshot="d")
    put("word3")
    take(site, guest_id, "e")
    put("word4")
    names = [each["name"] for each in tree_of(site, guest_id)["snapshots"]]
    assert names == ["m", "d", "e"]
    again = site.run("snapshot", id=guest_id, snapshot="d", memory=True)
    assert again["error"]["code"] == "conflict"
    assert site.run("image", id="tiny", state="absent")["error"]["code"] == "conflict"
    refused = site.run("snapshot", id=guest_id, snapshot="m", state="restored")
    assert refused["error"]["code"] == "conflict"
    assert "running" in refused["msg"]

    site.check_then_real_then_again("snapshot", id=guest_id, snapshot="d", state="absent")
    assert on_disk() == "word4"
    site.check_then_real_then_again("snapshot", id=guest_id, snapshot="e", state="absent")
    assert on_disk() == "word4"
    assert site.guest(guest_id)["restart_required"] == []
    put("word5")
    take(site, guest_id, "f")
    put("word6")

    back = site.run("snapshot", id=guest_id, snapshot="m", state="restored", force=True)
    assert "error" not in back, back
    assert site.guest(guest_id)["state"] == "running"
    assert ask(site, guest_id, "echo $MARK") == "word1"
    assert on_disk() == "word1"
    put("word7")
    assert site.guest(guest_id)["restart_required"] == []
    site.run("guest_power", id=guest_id, state="stopped", force=True)
    name = f"a-much-longer-name.{guest_id[:8]}"
    site.run("guest", id=guest_id, name=name)
    back = site.run("snapshot", id=guest_id, snapshot="m", state="restored")
    assert back["snapshot"]["is_current"], back
    assert site.guest(guest_id)["name"] == name
    assert ask(site, guest_id, "echo $MARK") == "word1"
    assert on_disk() == "word1"

    back = site.run(
        "snapshot", id=guest_id, snapshot="f", state="restored", force=True, memory=False
    )
    assert site.guest(guest_id)["state"] == "stopped"
    site.run("guest_power", id=guest_id, state="running")
    wait_for("second boot", lambda: console(site, guest_id).count("guest-ready") == 2)
    wait_for("the disk", lambda: on_disk() == "word5")
    # The root has the image beneath it, and two others above it.
    site.check_then_real_then_again("snapshot", id=guest_id, snapshot="m", state="absent")
    assert on_disk() == "word5"
    assert site.run("image", id="tiny", state="absent")["error"]["code"] == "conflict"
    assert not [name for name in files_of(site, guest_id) if "memory" in name]
    site.run("guest_power", id=guest_id, state="stopped", force=True)
    site.check_then_real_then_again("snapshot", id=guest_id, snapshot="f", state="absent")
    assert len(files_of(site, guest_id)) == 2
