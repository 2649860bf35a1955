# SPDX-License-Identifier: Apache-2.0
"""`make migration-check`: a busy guest moves while it runs, with and without shared storage."""

# A command line talks by printing.
# ruff: noqa: T201

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass

from tests.e2e.conftest import MIB, POOL, USER, Service
from tests.e2e.guest_load import GuestClock, begin_load, known_content_is_whole
from tests.e2e.own_lab import own_lab, say
from tests.e2e.test_console import open_channel, wait_for_serial, websocket
from tests.e2e.test_migrations import states
from tests.lab.network import slow_port
from tests.lab.shared_storage import provide_shared_storage

MEMORY_MIB, BALLAST_MIB = 512, 200
#: Of each cell's network: slow enough to see a migration go on.
NETWORK_MBIT_SEC = 100
SHARED, CELLS = "shared", ("cell1", "cell2")


@dataclass(frozen=True)
class Move:
    """What was seen of one migration."""

    seconds: float
    percents: list[int]
    stood_still: float
    silence: float
    state: str

    def tell(self, what: str) -> None:
        """Print it."""
        print(f"""
{what}: {self.state} after {self.seconds:.1f} s
  the guest stood still, by its own clock   {self.stood_still * 1000:6.0f} ms
  longest silence, as its network has it    {self.silence * 1000:6.0f} ms
  percent: {" ".join(map(str, self.percents))}""")


def migrate(service: Service, guest_id: str, clock: GuestClock, cancel_at: int = 101) -> Move:
    """Move it to the other cell of its pool; cancel when so much is done."""
    client = service.client
    guest = client.get(f"/guests/{guest_id}")
    time.sleep(5)  # its clock is compared with ours before and after
    begun = time.monotonic()
    order = {"source_pool": guest["pool"], "source_cell": guest["cell"], "instances": [guest_id]}
    job_id = client.call("POST", "/migrations/", order).data["id"]
    percents: list[int] = []
    canceled = False
    while not (found := client.get(f"/migrations/{job_id}"))["finished"]:
        if not percents or found["progress"] != percents[-1]:
            percents.append(found["progress"])
        if found["progress"] >= cancel_at and not canceled:
            canceled = True
            client.call("DELETE", f"/jobs/{job_id}")
        time.sleep(0.1)
    ended = time.monotonic()
    clock.wait_for_tick(ended)
    time.sleep(5)
    return Move(
        ended - begun,
        percents,
        clock.stood_still(begun, ended),
        clock.longest_silence(begun, ended),
        client.get(f"/jobs/{job_id}")["state"],
    )


def busy_guest(service: Service, image: str, pool: str, clock: GuestClock) -> str:
    """A guest that writes to its memory and its disk; its id."""
    client = service.client
    name = f"busy-{pool}"
    order = service.order(name, from_image=image, pool=pool, memory=MEMORY_MIB * MIB)
    guest_id, _job = client.create_guest({**order, "auto_start": True})
    client.wait_for_guest(guest_id, 400)
    wait_for_serial(client, guest_id, "guest-ready")
    with websocket(service, open_channel(client, guest_id, type="serial")["id"]) as console:
        begin_load(console, clock, BALLAST_MIB)
    return guest_id


def is_unharmed(service: Service, guest_id: str) -> bool:
    """Whether it has what it had, in memory and on its disk."""
    channel = open_channel(service.client, guest_id, type="serial", force=True)
    with websocket(service, channel["id"]) as console:
        return known_content_is_whole(console)


def scene(service: Service, image: str, pool: str) -> bool:
    """There, half of the way back, and back; whether all went as it has to."""
    client = service.client
    clock = GuestClock(service.lab.network.guest_lan_host_address)
    guest_id = busy_guest(service, image, pool, clock)
    say(f"a busy guest runs in pool {pool}")
    fine = True
    for what, cancel_at in (("moved", 101), ("canceled half way", 40), ("moved back", 101)):
        source = client.get(f"/guests/{guest_id}")["cell"]
        move = migrate(service, guest_id, clock, cancel_at)
        move.tell(f"pool {pool}, {what}")
        target = next(cell for cell in CELLS if cell != source)
        place, other = (target, source) if cancel_at > 100 else (source, target)
        where = {place: "running", other: ""}
        found = {name: state for name, state in states(service, guest_id).items() if name in where}
        checks = {
            "ended as wanted": move.state == ("succeeded" if cancel_at > 100 else "canceled"),
            "percent rises": move.percents == sorted(move.percents) and len(move.percents) > 2,
            "runs where it should, once": found == where,
            "content is whole": is_unharmed(service, guest_id),
        }
        for check, holds in checks.items():
            print(f"  {check}: {'yes' if holds else 'NO'}")
        fine = fine and all(checks.values())
    clock.close()
    client.call("DELETE", f"/guests/{guest_id}", {"force": True})
    return fine


def main() -> int:
    """Exit status 0 when all moved, or stayed, unharmed."""
    with own_lab("migration", len(CELLS)) as service, ExitStack() as slow:
        client = service.client
        image = client.upload_image("tiny", service.lab.image_qcow2, owner=USER, group=USER)
        storage = provide_shared_storage(service.lab, "guests")
        say("shared storage is there")
        for cell in service.lab.cells:
            slow.enter_context(slow_port(cell.management_port, NETWORK_MBIT_SEC))
        body = {"type": "glusterfs", "host": storage.host, "target": storage.source}
        client.call("POST", f"/storage_pools/{SHARED}", body)
        fine = True
        for pool, settings in ((POOL, {}), (SHARED, {"storage": SHARED})):
            client.call("POST", f"/compute_pools/{pool}", settings)
            for name in CELLS:
                client.call("POST", f"/compute_pool_cells/{pool}/{name}")
            client.wait_for_live_cells(set(CELLS))
            fine = scene(service, image, pool) and fine
            for name in CELLS:
                client.call("DELETE", f"/compute_pool_cells/{pool}/{name}")
        return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
