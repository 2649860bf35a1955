# SPDX-License-Identifier: Apache-2.0
"""A pool with failover on shared storage, and what the tests of it measure."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.e2e.copies import Watch, places_of
from tests.lab.cell import Cell
from tests.lab.lab import Lab
from tests.lab.shared_storage import SharedStorage
from tests.nano_client import NanoClient

POOL, STORAGE = "guarded", "shared"
MIB = 1 << 20


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
    ids = set()
    for number in range(count):
        wanted = order(f"f{number}", from_image=image, pool=POOL, auto_start=number == 0)
        guest_id, _job = client.create_guest(wanted)
        client.wait_for_guest(guest_id, 300)
        if number:
            client.call("POST", f"/instances/{guest_id}")
        ids.add(guest_id)
    for name in others:
        client.call("PUT", f"/compute_pool_cells/{POOL}/{name}", {"enable": True})
    return ids


@dataclass
class Timeline:
    """Seconds after the fault, and after its end."""

    lost: float = 0.0
    ended: float | None = None
    elsewhere: float = 0.0
    clean: float = 0.0
    looks: int = 0
    twice: list[Any] = field(default_factory=list)
    locks: list[tuple[float, str]] = field(default_factory=list)


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
    told = Timeline()
    with Watch(lab, guest_ids) as watch:
        log_in()
        fault(cell)
        begun = time.monotonic()
        wait_for("the loss", lambda: not _cell(client, cell)["alive"], patience_seconds)
        told.lost = time.monotonic() - begun
        survivor = next(each for each in lab.cells if each.name != cell)
        disk = f"/var/lib/libvirt/storage/{STORAGE}/{min(guest_ids)}_sys.qcow2"

        def moved() -> bool:
            places = places_of(lab, guest_ids)
            if told.ended is None and not any(cell in each for each in places.values()):
                told.ended = time.monotonic() - begun
            look = survivor.run(["qemu-img", "info", disk], check=False, timeout_seconds=30)
            lock = "free" if look.returncode == 0 else "locked"
            if not told.locks or told.locks[-1][1] != lock:
                told.locks.append((time.monotonic() - begun, lock))
            return all(len(each) == 1 and each != (cell,) for each in places.values())

        wait_for("the guests elsewhere", moved, patience_seconds)
        told.elsewhere = time.monotonic() - begun
        wait_for("their places in the API", lambda: _are_shown(client, cell, guest_ids), 120)
        log_in()
        lab.heal(cell)
        healed = time.monotonic()
        back = lab.cell(cell)
        look = ["sh", "-c", "virsh list --all --uuid; pgrep qemu-system || true"]

        def clean() -> bool:
            return not guest_ids.intersection(back.run(look, check=False).stdout.split()) and (
                client.get(f"/compute_pool_cells/{POOL}/{cell}")["alive"]
                and not any(
                    job["subject"]["id"] == cell and job["state"] in ("queued", "running")
                    for job in client.get("/jobs/?limit=20")
                )
            )

        wait_for("the cell to be clean", clean, patience_seconds)
        told.clean = time.monotonic() - healed
        time.sleep(5)
    told.looks, told.twice = watch.looks, watch.twice
    return told


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
