# SPDX-License-Identifier: Apache-2.0
"""A compute pool on shared storage over two real cells: joined, used, migrated, left."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import PASSWORD, POOL, USER, Service
from tests.e2e.test_migrations import ended, states
from tests.lab.shared_storage import SharedStorage
from tests.nano_client import ApiError

pytestmark = [pytest.mark.lab, pytest.mark.heavy]

SHARED, STORAGE = "lab-shared", "lab-gluster"
DIRECTORY = f"/var/lib/libvirt/storage/{STORAGE}"


def join(service: Service, pool: str, cell: str, seconds: float = 90) -> None:
    """Take a cell into a pool, after the job that gives back the lease of the pool it has left."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            service.client.call("POST", f"/compute_pool_cells/{pool}/{cell}")
        except ApiError as error:
            if "(cell_lease, " not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return


@pytest.fixture
def shared_pool(service: Service, shared_storage: SharedStorage) -> Iterator[str]:
    """Both cells leave the other tests' pool for one with shared storage, and come back."""
    client, cells = service.client, [cell.name for cell in service.lab.cells]
    storage = {"type": "glusterfs", "host": shared_storage.host, "target": shared_storage.source}
    client.login(USER, PASSWORD)  # Bringing the storage up may take longer than a session lives.
    client.call("POST", f"/storage_pools/{STORAGE}", storage)
    client.call("POST", f"/compute_pools/{SHARED}", {"storage": STORAGE, "failover": True})
    for cell in cells:
        client.call("DELETE", f"/compute_pool_cells/{POOL}/{cell}")
        join(service, SHARED, cell)
    try:
        yield SHARED
    finally:
        client.login(USER, PASSWORD)
        for guest in client.get(f"/guest_search/?pool={SHARED}"):
            client.call("DELETE", f"/guests/{guest['id']}", {"force": True})
        for cell in cells:
            client.call("DELETE", f"/compute_pool_cells/{SHARED}/{cell}")
            join(service, POOL, cell)
        client.call("DELETE", f"/compute_pools/{SHARED}")
        client.call("DELETE", f"/storage_pools/{STORAGE}")


def test_a_compute_pool_on_shared_storage(service: Service, image: str, shared_pool: str) -> None:
    client, cells = service.client, service.lab.cells
    for cell in cells:
        found = client.get(f"/compute_pool_cells/{shared_pool}/{cell.name}")
        assert found["storage"] == [{"name": STORAGE, "attached": True}]
        storages = client.get(f"/compute_cell_status/{shared_pool}/{cell.name}/storages/")
        assert storages["mode"] == "glusterfs"
        assert DIRECTORY in cell.run(["cat", "/proc/mounts"]).stdout
    with pytest.raises(ApiError, match="must remove all cells before change storage"):
        client.call("PUT", f"/compute_pools/{shared_pool}", {"storage": ""})

    guest_id, _job = client.create_guest(
        service.order("shared", pool=shared_pool, from_image=image)
    )
    source = client.wait_for_guest(guest_id)["cell"]
    target = next(cell.name for cell in cells if cell.name != source)
    client.call("POST", f"/instances/{guest_id}")
    volume = f"{DIRECTORY}/{guest_id}_sys.qcow2"
    for cell in cells:
        cell.run(["virsh", "pool-refresh", STORAGE])
        assert volume in cell.run(["virsh", "vol-list", STORAGE]).stdout
        assert guest_id not in cell.run(["virsh", "vol-list", "default"]).stdout
    with pytest.raises(ApiError, match=r"instance\(s\) left in cell"):
        client.call("DELETE", f"/compute_pool_cells/{shared_pool}/{source}")

    # To where there is room: the other cell. Without a copy, and without an unsafe flag.
    move = {"source_pool": shared_pool, "source_cell": source, "instances": [guest_id]}
    ended(service, client.call("POST", "/migrations/", move).data["id"], seconds=300)
    assert states(service, guest_id) == {target: "running", source: ""}
    disks = service.cell(target).run(["virsh", "domblklist", "--details", guest_id]).stdout
    assert f"{guest_id}_sys.qcow2" in disks
    assert "volume" in disks
    client.call("DELETE", f"/instances/{guest_id}", {"force": True})
    back = {**move, "source_cell": target, "target_cell": source}
    ended(service, client.call("POST", "/migrations/", back).data["id"], seconds=300)
    assert states(service, guest_id) == {target: "", source: "shut off"}

    client.call("DELETE", f"/guests/{guest_id}")
    assert guest_id not in service.cell(target).run(["ls", DIRECTORY]).stdout
    # A cell that leaves has it no more, and the other one keeps it.
    client.call("DELETE", f"/compute_pool_cells/{shared_pool}/{source}")
    assert DIRECTORY not in service.cell(source).run(["cat", "/proc/mounts"]).stdout
    assert DIRECTORY in service.cell(target).run(["cat", "/proc/mounts"]).stdout
    join(service, shared_pool, source)
