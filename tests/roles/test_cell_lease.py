# SPDX-License-Identifier: Apache-2.0
"""The keeper of a cell's lease, on a directory instead of shared storage."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

KEEPER = Path(__file__).resolve().parents[2] / "roles/cell/files/nano-cell-lease"


@pytest.fixture(scope="module")
def lease() -> Iterator[Any]:
    sys.path.insert(0, str(KEEPER))
    try:
        yield importlib.import_module("lease")
    finally:
        sys.path.remove(str(KEEPER))


@pytest.fixture
def keeper(lease: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(lease.os.path, "ismount", lambda _path: True)
    shared = tmp_path / "shared"
    shared.mkdir()
    configuration = lease.Configuration("c1", "nfs1", str(shared), 15)
    return lease.Keeper(configuration, lease.Lease(tmp_path / "run"))


def grant(lease: Any, keeper: Any, granted: bool, epoch: int) -> None:
    file = Path(keeper.configuration.path, lease.LEASES, "c1.grant")
    file.parent.mkdir(parents=True, exist_ok=True)
    lease.write_block(file, {"epoch": epoch, "granted": granted})


def beat(lease: Any, keeper: Any) -> dict[str, Any]:
    found: dict[str, Any] = lease.read_block(
        Path(keeper.configuration.path, lease.LEASES, "c1.beat")
    )
    return found


def writer(keeper: Any, name: str = "disk.qcow2") -> subprocess.Popen[bytes]:
    """A process that writes to the storage, as QEMU does."""
    path = Path(keeper.configuration.path, name)
    program = f"f = open({str(path)!r}, 'w'); print(flush=True); import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_no_grant_no_lease(lease: Any, keeper: Any) -> None:
    keeper.renew()
    assert not keeper.lease.held
    grant(lease, keeper, True, 1)
    keeper.renew()
    assert keeper.lease.held
    assert keeper.lease.until <= lease.clock() + 15
    assert beat(lease, keeper)["counter"] == 2


def test_its_end_ends_those_that_write_and_only_them(lease: Any, keeper: Any) -> None:
    grant(lease, keeper, True, 1)
    keeper.renew()
    with writer(keeper) as victim, writer(keeper, "../elsewhere") as bystander:
        keeper.enforce()
        time.sleep(0.2)
        assert victim.poll() is None
        grant(lease, keeper, False, 2)
        keeper.renew()
        assert beat(lease, keeper)["state"] == "stopping" or not keeper.lease.held
        keeper.enforce()
        assert victim.wait(timeout=10) == -9
        for _ in range(4):
            keeper.renew()
            assert beat(lease, keeper)["state"] == "stopping"
            keeper.enforce()
        keeper.renew()
        found = beat(lease, keeper)
        assert (found["state"], found["epoch"]) == ("stopped", 2)
        assert bystander.poll() is None
        bystander.kill()


def test_readers_are_left_alone(lease: Any, keeper: Any) -> None:
    path = Path(keeper.configuration.path, "disk.qcow2")
    path.touch()
    with subprocess.Popen(["tail", "-f", str(path)], stdout=subprocess.DEVNULL) as reader:
        assert lease.writers(keeper.configuration.path) == []
        reader.kill()


def test_storage_that_is_not_mounted_renews_nothing(
    lease: Any, keeper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant(lease, keeper, True, 1)
    monkeypatch.setattr(lease.os.path, "ismount", lambda _path: False)
    with pytest.raises(OSError, match="nothing is mounted"):
        keeper.renew()
    assert not keeper.lease.held


def test_nothing_is_written_where_the_storage_was(
    lease: Any, keeper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = importlib.import_module("copies").Copies(keeper.configuration)
    monkeypatch.setattr(lease.os.path, "ismount", lambda _path: False)
    keeper.lease.set(lease.clock() + 15)  # the storage went away a moment ago
    with pytest.raises(OSError, match="nothing is mounted"):
        copies.update()
    keeper.leave()
    assert list(Path(keeper.configuration.path).iterdir()) == []
    assert not keeper.lease.held


def test_an_end_with_guests_says_that_nobody_watches(lease: Any, keeper: Any) -> None:
    grant(lease, keeper, True, 1)
    keeper.renew()
    with writer(keeper) as guest:
        keeper.leave()
        assert beat(lease, keeper)["state"] == "off"
        assert keeper.lease.held, "the guest goes on, and so does its lease after a restart"
        guest.kill()
    keeper.leave()
    assert beat(lease, keeper)["state"] == "stopped"
    assert not keeper.lease.held


def test_which_domains_need_the_lease(lease: Any, keeper: Any) -> None:
    def domain(source: str, device: str = "disk") -> str:
        disk = f"<disk device='{device}'><source {source}/></disk>"
        return f"<domain><uuid>u</uuid><devices>{disk}</devices></domain>"

    shared = keeper.configuration.path
    for source in ("pool='nfs1' volume='v'", f"file='{shared}/v'"):
        assert lease.uses_pool(domain(source), keeper.configuration) == "u"
        assert lease.uses_pool(domain(source, "cdrom"), keeper.configuration) is None
    for source in ("pool='default' volume='v'", "file='/srv/v'", f"file='{shared}2/v'"):
        assert lease.uses_pool(domain(source), keeper.configuration) is None
