# SPDX-License-Identifier: Apache-2.0
"""A cell dies: its guests run on the other one, each once, and it is clean when it is back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import PASSWORD, POOL, USER, Service
from tests.e2e.failover_scene import (
    fencing,
    lose_a_cell,
    make_guests,
    make_pool,
    remove_pool,
)
from tests.lab.cell import Cell
from tests.lab.shared_storage import SharedStorage

pytestmark = [pytest.mark.lab, pytest.mark.heavy]

CELLS = ["cell1", "cell2"]


@pytest.fixture
def guarded(service: Service, shared_storage: SharedStorage) -> Iterator[Service]:
    """Both cells leave the tests' pool for one with failover."""
    for name in CELLS:
        service.client.call("DELETE", f"/compute_pool_cells/{POOL}/{name}")
    make_pool(service.client, service.lab, shared_storage, CELLS)
    yield service
    service.client.login(USER, PASSWORD)
    remove_pool(service.client, CELLS)
    for name in CELLS:
        service.client.call("POST", f"/compute_pool_cells/{POOL}/{name}")
    service.client.wait_for_live_cells(set(CELLS))


@pytest.mark.parametrize("fault", ["power failure", "cut cable, fenced"])
def test_a_cell_is_lost(guarded: Service, image: str, fault: str) -> None:
    client, lab = guarded.client, guarded.lab
    ids = make_guests(client, guarded.order, image, "cell2", 2)

    def log_in() -> None:
        client.login(USER, PASSWORD)

    if fault == "power failure":
        told = lose_a_cell(client, lab, "cell2", ids, lab.kill, log_in)
    else:
        booted = _booted_at(lab.cell("cell2"))
        with fencing(lab, "cell2"):
            told = lose_a_cell(client, lab, "cell2", ids, lab.cut, log_in)
        assert _booted_at(lab.cell("cell2")) != booted
    assert told.twice == []
    assert min(told.processes.looks, told.disk_locks.looks) > 20
    for guest_id in ids:
        guest = client.get(f"/guests/{guest_id}")
        assert (guest["cell"], guest["running"]) == ("cell1", True)


def _booted_at(cell: Cell) -> str:
    """Another one after each boot."""
    command = ["systemctl", "show", "--property=UserspaceTimestampMonotonic", "--value"]
    return cell.run(command).stdout.strip()
