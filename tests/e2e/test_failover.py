# SPDX-License-Identifier: Apache-2.0
"""A cell dies: its guests run on the other one, each once, and it is clean when it is back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import PASSWORD, POOL, USER, Service
from tests.e2e.failover_scene import lose_a_cell, make_guests, make_pool, remove_pool
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


def test_a_power_failure(guarded: Service, image: str) -> None:
    client, lab = guarded.client, guarded.lab
    ids = make_guests(client, guarded.order, image, "cell2", 2)
    told = lose_a_cell(client, lab, "cell2", ids, lab.kill, lambda: client.login(USER, PASSWORD))
    assert told.twice == []
    assert told.looks > 20
    print(told)  # noqa: T201
    for guest_id in ids:
        guest = client.get(f"/guests/{guest_id}")
        assert (guest["cell"], guest["running"]) == ("cell1", True)
