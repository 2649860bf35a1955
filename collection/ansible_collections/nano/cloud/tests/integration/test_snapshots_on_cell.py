# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots on a real cell: every byte of every state, with trees, running guests and kills."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import (
    MIB,
    REPOSITORY,
    Site,
    ask,
    basis,
    console,
    say,
    wait_for,
)
from ansible_collections.nano.cloud.tests.integration.snapshots import (
    State,
    assert_state,
    files_of,
    kill_amid,
    paths_of,
    present_paths,
    tree_of,
    write,
)

pytestmark = pytest.mark.lab

# The guest's kernel looks for disks in no order: the second one is known by its size.
DISK = "/dev/$(basename $(dirname $(grep -lx 65536 /sys/block/sd*/size)))"
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


def start(site: Site, guest_id: str, image_id: str) -> None:
    """A guest that boots from an image, with a second disk to write to."""
    disks = [{"size_bytes": 2**31, "image": image_id}, {"size_bytes": 32 * MIB}]
    site.run("guest", **basis(guest_id, disks=disks))
    site.run("guest_power", id=guest_id, state="running")
    wait_for("the shell", lambda: "guest-ready" in console(site, guest_id))
    wait_for("the disks", lambda: ask(site, guest_id, "ls /sys/block | grep -c sd") == "2")


def on_disk(site: Site, guest_id: str) -> str:
    """The word that stands at the beginning of the running guest's second disk."""
    drop = "echo 3 > /proc/sys/vm/drop_caches"
    return ask(site, guest_id, f"{drop}; dd if={DISK} bs=5 count=1")


def put(site: Site, guest_id: str, word: str) -> None:
    """Have the running guest remember a word, and write it to its second disk."""
    say(site, guest_id, f"MARK={word}; printf {word} | dd of={DISK} conv=fsync; sync")
    wait_for(word, lambda: ask(site, guest_id, "echo $MARK") == word)
    wait_for(word, lambda: on_disk(site, guest_id) == word)


def test_a_running_guest_and_its_memory(site: Site, image: dict[str, Any], guest_id: str) -> None:
    start(site, guest_id, image["id"])
    put(site, guest_id, "word1")
    made = site.check_then_real_then_again("snapshot", id=guest_id, snapshot="m", memory=True)
    assert made["snapshot"]["running"]
    assert site.guest(guest_id)["restart_required"] == []
    put(site, guest_id, "word2")
    site.check_then_real_then_again("snapshot", id=guest_id, snapshot="d")
    put(site, guest_id, "word3")
    take(site, guest_id, "e")
    put(site, guest_id, "word4")
    names = [each["name"] for each in tree_of(site, guest_id)["snapshots"]]
    assert names == ["m", "d", "e"]
    again = site.run("snapshot", id=guest_id, snapshot="d", memory=True)
    assert again["error"]["code"] == "conflict"
    assert site.run("image", id="tiny", state="absent")["error"]["code"] == "conflict"
    refused = site.run("snapshot", id=guest_id, snapshot="m", state="restored")
    assert refused["error"]["code"] == "conflict"
    assert "running" in refused["msg"]

    site.check_then_real_then_again("snapshot", id=guest_id, snapshot="d", state="absent")
    assert on_disk(site, guest_id) == "word4"
    site.check_then_real_then_again("snapshot", id=guest_id, snapshot="e", state="absent")
    assert on_disk(site, guest_id) == "word4"
    assert site.guest(guest_id)["restart_required"] == []
    put(site, guest_id, "word5")
    take(site, guest_id, "f")
    put(site, guest_id, "word6")

    back = site.run("snapshot", id=guest_id, snapshot="m", state="restored", force=True)
    assert "error" not in back, back
    assert site.guest(guest_id)["state"] == "running"
    assert ask(site, guest_id, "echo $MARK") == "word1"
    assert on_disk(site, guest_id) == "word1"
    put(site, guest_id, "word7")
    assert site.guest(guest_id)["restart_required"] == []
    site.run("guest_power", id=guest_id, state="stopped", force=True)
    name = f"a-much-longer-name.{guest_id[:8]}"
    site.run("guest", id=guest_id, name=name)
    back = site.run("snapshot", id=guest_id, snapshot="m", state="restored")
    assert back["snapshot"]["is_current"], back
    assert site.guest(guest_id)["name"] == name
    assert ask(site, guest_id, "echo $MARK") == "word1"
    assert on_disk(site, guest_id) == "word1"

    back = site.run(
        "snapshot", id=guest_id, snapshot="f", state="restored", force=True, memory=False
    )
    assert site.guest(guest_id)["state"] == "stopped"
    site.run("guest_power", id=guest_id, state="running")
    wait_for("second boot", lambda: console(site, guest_id).count("guest-ready") == 2)
    wait_for("the disk", lambda: on_disk(site, guest_id) == "word5")
    # The root has the image beneath it, and two others above it.
    site.check_then_real_then_again("snapshot", id=guest_id, snapshot="m", state="absent")
    assert on_disk(site, guest_id) == "word5"
    assert site.run("image", id="tiny", state="absent")["error"]["code"] == "conflict"
    assert not [name for name in files_of(site, guest_id) if "memory" in name]
    site.run("guest_power", id=guest_id, state="stopped", force=True)
    site.check_then_real_then_again("snapshot", id=guest_id, snapshot="f", state="absent")
    assert len(files_of(site, guest_id)) == 2


@pytest.mark.parametrize("delay_seconds", [0.02, 0.1, 0.3, 0.6])
def test_killed_runs_on_a_running_guest(
    site: Site, image: dict[str, Any], guest_id: str, delay_seconds: float
) -> None:
    start(site, guest_id, image["id"])
    put(site, guest_id, "word1")
    memory = {"snapshot": "m", "memory": True}
    kill_amid(site, guest_id, delay_seconds, **memory)
    assert on_disk(site, guest_id) == "word1"
    done = site.run("snapshot", id=guest_id, **memory)
    assert done["snapshot"]["state"] == "ready", done
    assert done["snapshot"]["running"]
    put(site, guest_id, "word2")
    kill_amid(site, guest_id, delay_seconds, snapshot="d")
    put(site, guest_id, "word3")
    take_or_find = site.run("snapshot", id=guest_id, snapshot="d")
    assert take_or_find["snapshot"]["state"] == "ready"
    put(site, guest_id, "word4")
    kill_amid(site, guest_id, delay_seconds, snapshot="d", state="absent")
    put(site, guest_id, "word5")
    done = site.run("snapshot", id=guest_id, snapshot="d", state="absent")
    assert done["ready"], done
    assert on_disk(site, guest_id) == "word5"
    # The system disk in two layers, the other in two, and the memory.
    assert len(files_of(site, guest_id)) == 5
    back = {"snapshot": "m", "state": "restored", "force": True}
    kill_amid(site, guest_id, delay_seconds, **back)
    done = site.run("snapshot", id=guest_id, **back)
    assert done["snapshot"]["is_current"], done
    assert ask(site, guest_id, "echo $MARK") == "word1"
    assert on_disk(site, guest_id) == "word1"
    assert len(files_of(site, guest_id)) == 5
    site.run("guest_power", id=guest_id, state="stopped", force=True)
    kill_amid(site, guest_id, delay_seconds, snapshot="m", state="absent")
    site.run("guest_power", id=guest_id, state="running")
    wait_for("second boot", lambda: console(site, guest_id).count("guest-ready") == 2)
    wait_for("the disk", lambda: on_disk(site, guest_id) == "word1")
    assert site.run("snapshot", id=guest_id, snapshot="m", state="absent")["ready"]
    assert on_disk(site, guest_id) == "word1"
    assert len(files_of(site, guest_id)) == 2


def test_a_long_merge_of_a_running_guest_goes_on_between_runs(
    site: Site, image: dict[str, Any], guest_id: str
) -> None:
    disks = [{"size_bytes": 2**31, "image": image["id"]}, {"size_bytes": 2**30}]
    site.run("guest", **basis(guest_id, disks=disks))
    path = present_paths(site, guest_id)[1]
    site.shell(f"qemu-io -f qcow2 -c 'write -q -P 7 1M 900M' {path}")
    site.run("guest_power", id=guest_id, state="running")
    for name in ("a", "b", "c"):
        take(site, guest_id, name)
    # Another run has merged b into a, and has died before it could say so.
    below, above = paths_of(site, guest_id, "a"), paths_of(site, guest_id, "b")
    site.shell(f"virsh blockcommit {guest_id} sdb --base {below[1]} --top {above[1]} --wait")
    done = site.run("snapshot", id=guest_id, snapshot="a", state="absent")
    assert done["ready"], done
    assert paths_of(site, guest_id, "b") == below

    site.check_then_real_then_again("snapshot", id=guest_id, snapshot="b", state="absent")
    # And another one has begun to merge c, on a slow disk.
    site.shell(f"virsh blockpull {guest_id} sdb --bandwidth 100")
    seen: list[int] = []
    options = {"id": guest_id, "snapshot": "c", "state": "absent", "wait_seconds": 1}
    while not seen or seen[-1] < 100:
        done = site.run("snapshot", **options)
        assert done.get("changed"), done
        assert (done["progress"] == 100) == done["ready"]
        if not done["ready"]:
            assert done["snapshot"]["state"] == "deleting"
        seen.append(done["progress"])
    assert seen == sorted(seen)
    assert len(seen) > 2
    assert len(files_of(site, guest_id)) == 2
    site.shell(f"kill -9 $(cat /run/libvirt/qemu/test.{guest_id[:8]}.pid)")
    assert_full(site, guest_id)


def assert_full(site: Site, guest_id: str) -> None:
    path = present_paths(site, guest_id)[1]
    told = site.shell(f"qemu-io -U -r -f qcow2 -c 'read -P 7 1M 900M' {path} 2>&1")
    assert "read 943718400/943718400" in told
    assert "failed" not in told


def test_what_a_killed_guest_had_merged_but_not_written_down_is_merged_again(
    site: Site, guest_id: str
) -> None:
    disks = [{"size_bytes": 2**20}, {"size_bytes": 2**30}]
    site.run("guest", **basis(guest_id, disks=disks))
    path = present_paths(site, guest_id)[1]
    site.shell(f"qemu-io -f qcow2 -c 'write -q -P 7 1M 900M' {path}")
    site.run("guest_power", id=guest_id, state="running")
    take(site, guest_id, "a")
    site.shell(f"virsh blockpull {guest_id} sdb --bandwidth 150")
    done = site.run("snapshot", id=guest_id, snapshot="a", state="absent", wait_seconds=1)
    assert not done["ready"]
    wait_for(
        "the end of the merge",
        lambda: "No current block job" in site.shell(f"virsh blockjob {guest_id} sdb 2>&1"),
    )
    site.shell(f"kill -9 $(cat /run/libvirt/qemu/test.{guest_id[:8]}.pid)")
    wait_for("its end", lambda: site.guest(guest_id)["state"] == "stopped")
    path = present_paths(site, guest_id)[1]
    told = site.shell(f"qemu-io -r -f qcow2 -c 'read -P 7 1M 900M' {path} 2>&1 || true")
    assert "failed" in told, "QEMU writes all down by itself now"
    site.run("guest_power", id=guest_id, state="running")
    assert_full(site, guest_id)
    done = site.run("snapshot", id=guest_id, snapshot="a", state="absent")
    assert done["ready"], done
    assert_full(site, guest_id)
    assert len(files_of(site, guest_id)) == 2


def test_the_playbooks(site: Site, guest_id: str) -> None:
    site.run("guest", **basis(guest_id, disks=TWO_DISKS))
    basis_variables = {"nano_cell": site.cell.name, "nano_guest": {"id": guest_id}}

    def play(name: str, **variables: Any) -> str:
        text = json.dumps({**basis_variables, **variables})
        program = Path(sys.executable).with_name("ansible-playbook")
        done = subprocess.run(
            [program, "-i", site.lab.inventory_path, f"playbooks/{name}.yml", "-e", text, "-v"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    asked = {"name": "first", "description": "before all"}
    assert "changed=1" in play("snapshot_create", nano_snapshot=asked)
    assert "before all" in play("snapshot_read")
    assert "changed=0" in play("snapshot_restore", nano_snapshot=asked)
    assert "changed=1" in play("snapshot_delete", nano_snapshot=asked)
    assert tree_of(site, guest_id)["snapshots"] == []
