# SPDX-License-Identifier: GPL-3.0-or-later
"""When another cell's guests are certainly ended, told by a clock that only the test moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import cell_lease_service, shared_storage
from ansible_collections.nano.cloud.plugins.module_utils.cell_lease_spec import LeaseRequest
from ansible_collections.nano.cloud.plugins.module_utils.errors import Conflict
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.shared_storage import (
    LEASES,
    copies_of,
    read_block,
    write_block,
)

REQUEST = LeaseRequest("revoked", "c1", "nfs1", wait_seconds=60)


class Storage:
    """Shared storage with a clock; ``then`` says what the other cell does when."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1000.0
        self.then: Callable[[float], None] = lambda _now: None

    def beat(self, counter: int, state: str = "running", epoch: int = 1) -> None:
        beat = {"boot": "b", "counter": counter, "state": state, "epoch": epoch}
        write_block(self.path / LEASES / "c1.beat", {**beat, "lease_seconds": 15})

    def grant(self) -> dict[str, Any]:
        return read_block(self.path / LEASES / "c1.grant")

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.then(self.now)


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    made = Storage(tmp_path / "shared")
    monkeypatch.setattr(cell_lease_service, "shared_path", lambda _host, _pool: made.path)
    monkeypatch.setattr(cell_lease_service, "clock", lambda: made.now)
    monkeypatch.setattr(cell_lease_service.time, "sleep", made.sleep)
    monkeypatch.setattr(cell_lease_service, "RUN_DIRECTORY", tmp_path / "run")
    write_block(made.path / LEASES / "c1.grant", {"epoch": 1, "granted": True})
    return made


def revoke(host: LibvirtHost, request: LeaseRequest = REQUEST) -> dict[str, Any]:
    return cell_lease_service.ensure_revoked(host, request, check_mode=False).lease


def test_a_cell_that_died_is_waited_for_as_long_as_its_lease(
    storage: Storage, host: LibvirtHost
) -> None:
    storage.beat(7)
    told = revoke(host)
    assert storage.grant() == {"epoch": 2, "granted": False}
    assert told["ended"] == "expired"
    assert 20 <= told["waited_seconds"] < 20.5


def test_what_the_own_unit_saw_before_counts(
    storage: Storage, host: LibvirtHost, tmp_path: Path
) -> None:
    storage.beat(7)
    (tmp_path / "run").mkdir()
    seen = {"c1": {"beat": ["b", 7], "since": storage.now - 12}}
    (tmp_path / "run/peers.json").write_text(json.dumps(seen))
    assert 8 <= revoke(host)["waited_seconds"] < 8.5
    # However long ago that was, what it wrote just before the revocation may not be seen yet.
    storage.now += 100
    assert 4 <= revoke(host)["waited_seconds"] < 4.5


def test_a_newer_beat_begins_the_wait_anew(storage: Storage, host: LibvirtHost) -> None:
    storage.beat(7)

    def once(now: float) -> None:
        if 1010 <= now < 1010.2:
            storage.beat(8)

    storage.then = once
    assert 30 <= revoke(host)["waited_seconds"] < 30.7


def test_the_cells_own_word_ends_the_wait_if_it_is_about_this_revocation(
    storage: Storage, host: LibvirtHost
) -> None:
    storage.beat(7, "stopped", epoch=1)
    storage.then = lambda now: storage.beat(int(now), "stopped", epoch=2 if now > 1003 else 1)
    told = revoke(host)
    assert told["ended"] == "acknowledged"
    assert 3 <= told["waited_seconds"] < 3.5


def test_an_orderly_end_needs_no_lease_to_expire(storage: Storage, host: LibvirtHost) -> None:
    storage.beat(7, "stopped", epoch=0)
    assert 4 <= revoke(host)["waited_seconds"] < 4.5


@pytest.mark.parametrize("state", ["off", None])
def test_a_cell_whose_unit_did_not_run_is_never_believed_dead(
    storage: Storage, host: LibvirtHost, state: str | None
) -> None:
    if state:
        storage.beat(7, state)
    with pytest.raises(Conflict, match="nano_fence_command"):
        revoke(host)


def test_a_fenced_cell_is_not_waited_for(storage: Storage, host: LibvirtHost) -> None:
    told = revoke(host, LeaseRequest("revoked", "c1", "nfs1", fenced=True))
    assert (told["ended"], told["waited_seconds"]) == ("fenced", 0)
    assert storage.grant()["granted"] is False


def test_a_cell_whose_guests_do_not_end_is_not_taken_over(
    storage: Storage, host: LibvirtHost
) -> None:
    storage.beat(7)
    storage.then = lambda now: storage.beat(int(now), "stopping", epoch=2)
    with pytest.raises(Conflict, match="its guests do not end"):
        revoke(host)


def test_the_lost_cells_own_copy_comes_before_newer_ones(tmp_path: Path) -> None:
    folder = tmp_path / shared_storage.DEFINITIONS
    for cell in ("c1", "c2"):
        (folder / cell).mkdir(parents=True)
        (folder / cell / "g.xml").write_text(cell)
    assert copies_of(tmp_path, "c1", "g.xml") == folder / "c1/g.xml"
    assert copies_of(tmp_path, "c9", "g.xml") is not None
    assert copies_of(tmp_path, "c1", "none.xml") is None
