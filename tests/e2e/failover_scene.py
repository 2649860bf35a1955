# SPDX-License-Identifier: Apache-2.0
"""A pool with failover on shared storage, and what the tests of it measure."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.e2e.copies import Places, Watch, places_of
from tests.e2e.disk_locks import writers_of
from tests.lab.cell import Cell
from tests.lab.identity import CHECKOUT, STORAGE_NAME
from tests.lab.lab import Lab
from tests.lab.shared_storage import VOLUME, SharedStorage
from tests.nano_client import NanoClient

POOL, STORAGE = "guarded", "shared"


def make_pool(client: NanoClient, lab: Lab, storage: SharedStorage, cells: list[str]) -> None:
    """A compute pool with failover of these cells, and its storage."""
    body = {"type": "glusterfs", "host": storage.host, "target": f"/{storage.source}"}
    client.call("POST", f"/storage_pools/{STORAGE}", body)
    client.call("POST", f"/compute_pools/{POOL}", {"storage": STORAGE, "failover": True})
    for name in cells:
        client.call("POST", f"/compute_pool_cells/{POOL}/{name}")
    client.wait_for_live_cells(set(cells), seconds=120)
    for name in cells:
        wait_for(f"the lease of {name}", partial(_has_lease, lab.cell(name)), 180)


def _has_lease(cell: Cell) -> bool:
    """Whether the cell's unit was told of its pool, and guests may run there."""
    look = "cat /etc/nano-cloud/lease.json /run/nano-cloud-lease/lease.json 2> /dev/null || true"
    found = cell.run(["sh", "-c", look]).stdout
    return '"pool"' in found and '"until"' in found


def remove_pool(client: NanoClient, cells: list[str]) -> None:
    """Take the cells, the pool and its storage away again."""
    for guest in client.get(f"/guest_search/?pool={POOL}"):
        client.call("DELETE", f"/guests/{guest['id']}", {"force": True})
    for name in cells:
        client.call("DELETE", f"/compute_pool_cells/{POOL}/{name}")
    client.call("DELETE", f"/compute_pools/{POOL}")
    client.call("DELETE", f"/storage_pools/{STORAGE}")


def make_guests(
    client: NanoClient, order: Callable[..., dict[str, object]], image: str, cell: str, count: int
) -> set[str]:
    """So many guests that run on that cell; others of the pool are disabled meanwhile."""
    cells = [each["name"] for each in client.get(f"/compute_pool_cells/{POOL}")]
    others = [name for name in cells if name != cell]
    for name in others:
        client.call("PUT", f"/compute_pool_cells/{POOL}/{name}", {"enable": False})
    orders = [order(f"f{n}", from_image=image, pool=POOL, auto_start=n == 0) for n in range(count)]
    ids = [client.create_guest(wanted)[0] for wanted in orders]
    for guest_id in ids:
        client.wait_for_guest(guest_id, 600)
    for guest_id in ids[1:]:
        client.call("POST", f"/instances/{guest_id}")
    for name in others:
        client.call("PUT", f"/compute_pool_cells/{POOL}/{name}", {"enable": True})
    return set(ids)


@contextmanager
def fencing(lab: Lab, cell: str) -> Iterator[None]:
    """The inventory names a command that takes the cell's power away."""
    lab_command = [sys.executable, "-m", "tests.lab", "--instance", lab.identity.instance]
    command = ["env", "-C", str(CHECKOUT), *lab_command, "kill", cell]
    file = lab.inventory_path.parent / "host_vars" / f"{cell}.yml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"nano_fence_command": command}))
    try:
        yield
    finally:
        file.unlink()


@dataclass
class Timeline:
    """Seconds after the fault, and after its end; what the two watches saw throughout."""

    lost: float
    ended: float | None
    elsewhere: float
    clean: float
    processes: Watch
    disk_locks: Watch

    @property
    def twice(self) -> list[tuple[float, Places]]:
        """When some guest ran, or had its disk, twice."""
        return self.processes.twice + self.disk_locks.twice


def lose_a_cell(
    client: NanoClient,
    lab: Lab,
    cell: str,
    guest_ids: set[str],
    fault: Callable[[str], None],
    log_in: Callable[[], None],
    patience_seconds: float = 300,
) -> Timeline:
    """The fault, until all guests run elsewhere; then its end, until the cell is clean."""
    server = lab.cell(STORAGE_NAME)
    watch = Watch(partial(places_of, lab, guest_ids), 0.1)
    locks = Watch(partial(writers_of, server, VOLUME, guest_ids), 0.2)
    with watch, locks:
        wait_for("looks before the fault", lambda: watch.changes and locks.changes, 60)
        log_in()
        begun = time.monotonic()
        fault(cell)
        wait_for("the loss", lambda: not _cell(client, cell)["alive"], patience_seconds)
        lost = time.monotonic()

        def elsewhere() -> float | None:
            return watch.first(begun, lambda places: _are_elsewhere(places, cell))

        moved = wait_for("the guests elsewhere", elsewhere, patience_seconds)
        wait_for("their places in the API", lambda: _are_shown(client, cell, guest_ids), 120)
        log_in()
        lab.heal(cell)
        healed = time.monotonic()
        wait_for("the cell to be clean", lambda: _is_clean(client, lab, cell, guest_ids), 300)
        clean = time.monotonic()
        time.sleep(5)  # whatever comes late is to be seen
    ended = watch.first(begun, lambda places: not any(cell in each for each in places.values()))
    return Timeline(
        lost=lost - begun,
        ended=None if ended is None else ended - begun,
        elsewhere=moved - begun,
        clean=clean - healed,
        processes=watch,
        disk_locks=locks,
    )


def _are_elsewhere(places: Places, lost: str) -> bool:
    return all(len(each) == 1 and each != (lost,) for each in places.values())


def _is_clean(client: NanoClient, lab: Lab, cell: str, guest_ids: set[str]) -> bool:
    """None of the guests is there, running or defined, and it takes part again."""
    look = ["sh", "-c", "virsh list --all --uuid; pgrep -a qemu-system || true"]
    found = lab.cell(cell).run(look, check=False)
    if found.returncode != 0 or any(each in found.stdout for each in guest_ids):
        return False
    return bool(_cell(client, cell)["alive"]) and not _jobs_of(client, [cell])


def _jobs_of(client: NanoClient, cells: list[str]) -> list[dict[str, Any]]:
    """What is still done to these cells."""
    jobs = client.get("/jobs/?limit=20")
    going_on = [job for job in jobs if job["state"] in ("queued", "running")]
    return [job for job in going_on if job["subject"]["id"] in cells]


def _cell(client: NanoClient, name: str) -> dict[str, Any]:
    return dict(client.get(f"/compute_pool_cells/{POOL}/{name}"))


def _are_shown(client: NanoClient, lost: str, guest_ids: set[str]) -> bool:
    guests = [client.get(f"/guests/{guest_id}") for guest_id in guest_ids]
    return all(g["running"] and g["cell"] != lost and not g.get("lost") for g in guests)


def wait_for(what: str, look: Callable[[], Any], seconds: float) -> Any:
    """What ``look`` finds, once it does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds} s")
