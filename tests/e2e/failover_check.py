# SPDX-License-Identifier: Apache-2.0
"""`make failover-check`: five guests on shared storage, a power failure, a cut cable."""

# A command line talks by printing.
# ruff: noqa: T201

from __future__ import annotations

import sys
from contextlib import nullcontext

from tests.e2e.conftest import PASSWORD, USER, Service
from tests.e2e.failover_scene import Timeline, fencing, lose_a_cell, make_guests, make_pool
from tests.e2e.own_lab import own_lab, say
from tests.e2e.test_batches_and_snapshots import finished
from tests.lab.shared_storage import VOLUME, SharedStorage, provide_shared_storage

GUESTS = 5


def tell(what: str, told: Timeline) -> bool:
    """Print what was measured; whether it is as it has to be."""
    ended = f"{told.ended:.1f}" if told.ended is not None else "?"
    print(f"""
{what}
  lost in the API after                  {told.lost:6.1f} s
  last guest on the cell gone after      {ended:>6} s
  all {GUESTS} guests run elsewhere after      {told.elsewhere:6.1f} s
  the cell is clean, after it was healed {told.clean:6.1f} s""")
    watches = {"processes on the cells": told.processes, "locks on the disks": told.disk_locks}
    for name, watch in watches.items():
        print(
            f"  looks at the {name}: {watch.looks}, at most {watch.longest_gap_seconds:.1f} s "
            f"apart; with a guest twice: {len(watch.twice)}"
        )
        for at, places in watch.changes:
            print(f"    {at:6.1f} s  {' '.join('+'.join(each) or '-' for each in places.values())}")
    return not told.twice


def main() -> int:
    """Exit status 0 when no guest ran twice."""
    with own_lab("failover", 3) as service:
        storage = provide_shared_storage(service.lab, VOLUME)
        say("shared storage is there")
        return 0 if scenes(service, storage) else 1


def scenes(service: Service, storage: SharedStorage) -> bool:
    """Kill, cut, and cut with fencing."""
    lab, client = service.lab, service.client

    def log_in() -> None:
        client.login(USER, PASSWORD)

    cells = [cell.name for cell in lab.cells]
    make_pool(client, lab, storage, cells)
    say("pool with failover, all cells have their lease")
    log_in()
    image = client.upload_image("tiny", lab.image_qcow2, owner=USER, group=USER)
    fine = True
    for cell, what, fault, fenced in (
        ("cell3", "Power failure", lab.kill, nullcontext()),
        ("cell2", "Cut cable", lab.cut, nullcontext()),
        ("cell1", "Cut cable, and a command that takes the power", lab.cut, fencing(lab, "cell1")),
    ):
        log_in()
        ids = make_guests(client, service.order, image, cell, GUESTS)
        say(f"{GUESTS} guests run on {cell}")
        with fenced:
            fine = tell(what, lose_a_cell(client, lab, cell, ids, fault, log_in)) and fine
        batch = client.call("POST", "/batch/delete_guest/", {"guest": sorted(ids), "force": True})
        finished(service, "delete", batch.data["id"], 600)
    return fine


if __name__ == "__main__":
    sys.exit(main())
