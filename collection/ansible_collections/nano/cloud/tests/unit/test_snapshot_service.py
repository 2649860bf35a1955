# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of a stopped guest, and of runs that die before any one of their steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import (
    guest_service,
    snapshot_creation,
    snapshot_service,
)
from ansible_collections.nano.cloud.plugins.module_utils.errors import (
    Conflict,
    HypervisorError,
    InvalidInput,
    NoSpace,
    NotFound,
    Unsupported,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import guest_request
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_filling import (
    begin_filling,
    settle_filling,
)
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_guest import SnapshotGuest
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_reader import read_snapshots
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_service import SnapshotOutcome
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_spec import snapshot_request
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_tree import (
    DELETING,
    HOLDING,
    has_snapshots,
    is_frozen,
    volume_of,
)

from .guests import FOREIGN, GIB, GUEST_ID, new_request, request
from .layers import Contents, Killed, ModelImg, mortal_host


class Desk:
    """A guest with two disks, and what one does with its snapshots."""

    def __init__(self, host: LibvirtHost) -> None:
        self.host = host
        self.tool = ModelImg(host)
        disks = [{"size_bytes": GIB}, {"size_bytes": GIB}]
        guest_service.ensure_present(host, new_request(disks=disks), False, 1)
        self.contents = Contents(host, self.tool, GUEST_ID)
        self.kept: dict[str, Any] = {}

    def run(
        self, name: str, state: str = "present", check: bool = False, **options: Any
    ) -> SnapshotOutcome:
        arguments = {"description": None, "memory": None, "force": False, "wait_seconds": 0}
        wanted = snapshot_request(
            {"id": GUEST_ID, "snapshot": name, "state": state, **arguments, **options}
        )
        return snapshot_service.ensure_snapshot(self.host, wanted, check, 1, self.tool)

    def take(self, name: str) -> None:
        assert self.run(name).differences.changed
        self.kept[name] = self.contents.of_disks()

    def back_to(self, name: str) -> None:
        assert self.run(name, "restored").differences.changed
        assert self.contents.of_disks() == self.kept[name]

    def assert_kept(self) -> None:
        for name, expected in self.kept.items():
            assert self.contents.of(name) == expected, name

    def tree(self) -> dict[str, str | None]:
        found = read_snapshots(self.host, GUEST_ID, None)["snapshots"]
        return {each["name"]: each["backing"] for each in found}

    def files(self) -> set[str]:
        pool = self.host.find_pool("default")
        assert pool
        return {volume.name.split("_", 1)[1] for volume in pool.volumes()}

    def grow_tree(self) -> None:
        """a ─ b ─ c, b ─ d, a ─ e; the guest is at e."""
        write = self.contents.write
        write(0, "a"), write(1, "a"), write(0, "a", 1)
        self.take("a")
        write(0, "b"), write(2, "b")
        self.take("b")
        write(1, "c"), write(1, "c", 1)
        self.take("c")
        self.back_to("b")
        write(1, "d")
        self.take("d")
        self.back_to("a")
        write(3, "e")
        self.take("e")
        write(4, "now"), write(1, "now", 1)


@pytest.fixture
def desk(host: LibvirtHost) -> Desk:
    return Desk(host)


def test_taken_once_then_unchanged(desk: Desk) -> None:
    foretold = desk.run("a", check=True, description="why")
    assert desk.tree() == {}
    made = desk.run("a", description="why")
    assert made.differences == foretold.differences
    assert made.snapshot is not None
    assert (made.snapshot["is_root"], made.snapshot["is_current"]) == (True, True)
    assert (made.snapshot["state"], made.snapshot["running"]) == ("ready", False)
    assert not desk.run("a", description="why").differences.changed
    assert not desk.run("a").differences.changed
    assert desk.run("a", description="else").differences.as_diff()["after"]["snapshot"]
    again = desk.run("a").snapshot
    assert again is not None
    assert again["description"] == "else"
    assert desk.files() == {"sys.qcow2", "0.qcow2", "sys.1.qcow2", "0.1.qcow2"}


def test_a_tree_keeps_every_state(desk: Desk) -> None:
    desk.grow_tree()
    desk.assert_kept()
    assert desk.tree() == {"a": None, "b": "a", "c": "b", "d": "b", "e": "a"}
    found = read_snapshots(desk.host, GUEST_ID, None)
    assert found["current"] == "e"
    assert [each["name"] for each in found["snapshots"] if each["is_current"]] == ["e"]
    spec = desk.contents.spec()
    assert has_snapshots(spec)
    assert all(is_frozen(spec, disk) for disk in spec.disks)


def test_going_back_twice_is_going_back_once(desk: Desk) -> None:
    desk.grow_tree()
    foretold = desk.run("b", "restored", check=True)
    assert desk.run("b", "restored").differences == foretold.differences
    assert not desk.run("b", "restored").differences.changed
    desk.contents.write(9, "new")
    assert desk.run("b", "restored").differences.changed
    assert desk.contents.of_disks() == desk.kept["b"]
    desk.assert_kept()


@pytest.mark.parametrize("order", ["abcde", "edcba", "bacde", "eabdc", "cdbae", "adbec"], ids=str)
def test_whatever_is_deleted_all_others_stay(desk: Desk, order: str) -> None:
    desk.grow_tree()
    present = desk.contents.of_disks()
    for name in order:
        foretold = desk.run(name, "absent", check=True)
        assert desk.run(name, "absent").differences == foretold.differences
        assert not desk.run(name, "absent").differences.changed
        del desk.kept[name]
        desk.assert_kept()
        assert desk.contents.of_disks() == present
        assert set(desk.tree()) == set(desk.kept)
    assert len(desk.files()) == 2
    assert not has_snapshots(desk.contents.spec())


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("new", "present"),
        ("b", "restored"),
        ("a", "absent"),
        ("b", "absent"),
        ("d", "absent"),
        ("e", "absent"),
    ],
)
@pytest.mark.parametrize("size", [0, 40])
def test_a_run_may_die_before_any_step(
    host: LibvirtHost, monkeypatch: pytest.MonkeyPatch, name: str, state: str, size: int
) -> None:
    """``size``: with much in the layers above, merges are copies; else they are written down."""
    mortal = mortal_host(monkeypatch)
    last = 0
    while True:
        last += 1
        mortal.live()
        desk = Desk(host)
        desk.grow_tree()
        for at in range(size):
            desk.contents.write(100 + at, "much")
        present = desk.contents.of_disks()
        mortal.live(last)
        try:
            desk.run(name, state)
            died = False
        except Killed:
            died = True
        mortal.live()
        if state == "absent":
            desk.kept.pop(name)
        desk.assert_kept()  # Whatever it came to, all that is to stay is as it was.
        after = desk.kept["b"] if state == "restored" else present
        assert desk.contents.of_disks() in (present, after)
        desk.run(name, state)
        desk.assert_kept()
        assert desk.contents.of_disks() == after
        assert (name in desk.tree()) == (state != "absent")
        spec = desk.contents.spec()
        assert spec.snapshots.spare == ()
        assert not any(each.unfinished for each in spec.snapshots.snapshots)
        expected = 2 * (1 + len(desk.tree()))
        assert len(desk.files()) == expected
        guest_service.ensure_absent(host, request(), True, False, 1)
        assert desk.files() == set()
        if not died:
            assert last > 4
            return


def test_another_request_first_finishes_what_was_begun(
    host: LibvirtHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    mortal = mortal_host(monkeypatch)
    desk = Desk(host)
    desk.grow_tree()
    mortal.live(3)
    with pytest.raises(Killed):
        desk.run("b", "absent")
    mortal.live()
    states = {each["name"]: each["state"] for each in snapshots(desk)}
    assert states["b"] == "deleting"
    desk.take("new")
    assert "b" not in desk.tree()
    del desk.kept["b"]
    desk.assert_kept()


def snapshots(desk: Desk) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_snapshots(desk.host, GUEST_ID, None)["snapshots"]
    return found


def test_a_failure_is_undone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.take("a")
    files = desk.files()

    def fail(*_arguments: Any) -> None:
        raise HypervisorError("no")

    monkeypatch.setattr(SnapshotGuest, "make_overlay", fail)
    for name, state in (("b", "present"), ("a", "restored")):
        desk.contents.write(1, "x")
        with pytest.raises(HypervisorError, match="no"):
            desk.run(name, state)
        assert desk.files() == files
        assert desk.tree() == {"a": None}
        assert desk.contents.spec().snapshots.spare == ()


def test_a_disk_that_came_later_stays_as_it_is(desk: Desk) -> None:
    desk.take("a")
    disks = [{"size_bytes": GIB}] * 3
    guest_service.ensure_present(
        desk.host, guest_request({"id": GUEST_ID, "disks": disks}), False, 1
    )
    spec = desk.contents.spec()
    assert [is_frozen(spec, disk) for disk in spec.disks] == [True, True, False]
    desk.contents.write(0, "third", 2)
    desk.take("b")
    desk.contents.write(1, "third", 2)
    assert desk.run("a", "restored").differences.changed
    assert desk.contents.of_disks()["1"] == {0: "third", 1: "third"}
    assert desk.run("b", "absent").differences.changed
    assert desk.contents.of_disks()["1"] == {0: "third", 1: "third"}
    assert desk.run("a", "absent").differences.changed
    assert desk.files() >= {name for name in desk.files() if name.startswith("1")}
    assert len(desk.files()) == 3


def test_refused_by_name(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match=r"admin\.web1 has no snapshot x"):
        desk.run("x", "restored")
    assert not desk.run("x", "absent").differences.changed
    with pytest.raises(Conflict, match=r"admin\.web1 is stopped.*snapshot x"):
        desk.run("x", memory=True)
    desk.take("a")
    with pytest.raises(Conflict, match=r"a of guest admin\.web1 exists without memory"):
        desk.run("a", memory=True)
    with pytest.raises(Conflict, match="has no memory"):
        desk.run("a", "restored", memory=True)
    monkeypatch.setattr(snapshot_service, "MAX_SNAPSHOTS", 1)
    with pytest.raises(Conflict, match=r"has 1 snapshots.*taking b"):
        desk.run("b")
    domain = desk.host.find_domain(GUEST_ID, None)
    assert domain is not None
    domain.start()
    with pytest.raises(Conflict, match=r"is running.*snapshot a, or set force"):
        desk.run("a", "restored")
    assert desk.run("a", "restored", force=True).differences.changed
    assert not domain.is_active()


def test_room_is_looked_for_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_host: Any, _pool: Any, needed: int) -> None:
        assert needed == 2 * GIB
        raise NoSpace("full")

    monkeypatch.setattr(snapshot_creation, "check_space", full)
    for check in (True, False):
        with pytest.raises(NoSpace):
            desk.run("a", check=check)
    assert desk.tree() == {}
    assert len(desk.files()) == 2


def test_guests_that_have_no_snapshots(host: LibvirtHost) -> None:
    host.define_domain(FOREIGN.replace("type='kvm'", "type='test'", 1))
    options = {"description": None, "memory": None, "force": False, "wait_seconds": 0}
    asked = snapshot_request({"name": "elsewhere", "snapshot": "a", "state": "present", **options})
    with pytest.raises(Unsupported, match=r"disks\[0\] of guest elsewhere"):
        snapshot_service.ensure_snapshot(host, asked, False, 1, ModelImg(host))
    with pytest.raises(Unsupported, match="run the module on the libvirt host"):
        snapshot_service.ensure_snapshot(host, asked, False, 1)
    absent = snapshot_request({"name": "nobody", "snapshot": "a", "state": "absent", **options})
    assert not snapshot_service.ensure_snapshot(host, absent, False, 1).differences.changed
    with pytest.raises(NotFound, match="nobody"):
        read_snapshots(host, None, "nobody")
    with pytest.raises(InvalidInput, match="wait_seconds"):
        snapshot_request(
            {**options, "name": "n", "snapshot": "a", "state": "absent", "wait_seconds": -1}
        )
    with pytest.raises(InvalidInput, match="name or id"):
        snapshot_request({**options, "snapshot": "a"})


@pytest.mark.parametrize("lost", [True, False])
def test_a_layer_that_was_filled_when_the_guest_ended_gets_back_what_was_lost(
    desk: Desk, lost: bool
) -> None:
    desk.contents.write(0, "old")
    desk.contents.write(1, "old")
    desk.take("a")
    desk.contents.write(1, "new")
    guest = snapshot_guest(desk)
    path = guest.path(volume_of(guest.spec.disks[0]))
    begun = replace(guest.tree.snapshots[0], unfinished=DELETING)
    guest.domain.start()
    begin_filling(guest, begun, volume_of(guest.spec.disks[0]))
    desk.tool.rebase(path, "", "")
    if lost:
        desk.tool.forget(path, 0)
    guest.domain.destroy()
    assert desk.run("a", "absent").differences.changed
    assert desk.contents.of_disks()["sys"] == {0: "old", 1: "new"}
    assert len(desk.files()) == 2


@pytest.mark.parametrize("held", [True, False])
def test_a_guest_is_held_until_its_layer_is_written_down(desk: Desk, held: bool) -> None:
    desk.take("a")
    guest = snapshot_guest(desk)
    layer = volume_of(guest.spec.disks[0])
    guest.domain.start()
    begin_filling(guest, replace(guest.tree.snapshots[0], unfinished=DELETING), layer)
    settle_filling(guest, "a")
    assert guest.tree.snapshots[0].filling == layer  # Not full yet.
    desk.tool.rebase(guest.path(layer), "", "")
    if held:
        marked = replace(guest.tree.snapshots[0], unfinished=HOLDING)
        guest.save(guest.tree.with_snapshot(marked))
        guest.domain.pause()
    settle_filling(guest, "a")
    assert guest.domain.state() == "running"
    assert guest.tree.snapshots[0].filling is None
    assert guest.tree.snapshots[0].unfinished == DELETING
    guest.domain.pause()
    with pytest.raises(Conflict, match=r"is paused.*snapshot a is merged"):
        begin_filling(guest, guest.tree.snapshots[0], layer)


def snapshot_guest(desk: Desk) -> SnapshotGuest:
    domain = desk.host.find_domain(GUEST_ID, None)
    assert domain is not None
    return SnapshotGuest(desk.host, domain, desk.tool, 1)
