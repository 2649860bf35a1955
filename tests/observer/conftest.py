# SPDX-License-Identifier: Apache-2.0
"""The observer on libvirt's test driver: real events and figures, without a hypervisor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import libvirt
import pytest

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.main import create_cloud
from nano_api.observer import event_loop
from nano_api.observer.observer import Observer
from nano_api.settings import Settings

Found = TypeVar("Found")
URI = "test:///default"


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """A cloud with one cell, the test driver of this process."""
    cloud = create_cloud(Settings(data=tmp_path / "data", observer_threads=2))
    cloud.settings.runtime_folder.mkdir(exist_ok=True)
    with cloud.database.transaction() as session:
        connection = {"nano_libvirt_uri": URI, "cell_pool_name": "default-pool"}
        session.add(Cell(name="c1", address="192.0.2.1", pool="default", connection=connection))
    return cloud


@pytest.fixture
def observer(cloud: Cloud) -> Iterator[Observer]:
    """It watches."""
    observer = Observer(cloud)
    observer.start()
    yield observer
    observer.stop()
    cloud.database.close()


@pytest.fixture
def libvirt_side() -> Iterator[libvirt.virConnect]:
    """Whoever uses libvirt behind our back."""
    event_loop.ensure_running()
    connection = libvirt.open(URI)
    yield connection
    connection.close()


def wait_for(look: Callable[[], Found], seconds: float = 30) -> Found:
    """Wait for a callable to answer true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def a_guest(guest_id: str, **changes: Any) -> Guest:
    """A guest of ours on the cell."""
    values: dict[str, Any] = {
        "id": guest_id,
        "name": "team.web",
        "owner": "admin",
        "group": "team",
        "pool": "default",
        "cell": "c1",
        "cores": 1,
        "memory_bytes": 1 << 26,
        "disks": [],
        "template_id": "t",
        "hardware": {},
        "modules": [],
        "mac": "00:16:3e:00:00:01",
        "display_port": 5901,
        "monitor_secret_sealed": "",
        "state": "created",
        **changes,
    }
    return Guest(**values)
