# SPDX-License-Identifier: Apache-2.0
"""`make failover-check`: five guests on shared storage, a power failure, a cut cable."""

# A command line talks by printing.
# ruff: noqa: T201

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from tests.e2e.conftest import PASSWORD, USER, Service, ansible
from tests.e2e.failover_scene import Timeline, lose_a_cell, make_guests, make_pool
from tests.lab.identity import CHECKOUT
from tests.lab.lab import Lab
from tests.lab.shared_storage import SharedStorage, provide_shared_storage

INSTANCE = "failover"
GUESTS = 5
_BEGUN = time.monotonic()


def say(text: str) -> None:
    """One line of progress, with the seconds since the start."""
    print(f"[{time.monotonic() - _BEGUN:6.1f} s] {text}", flush=True)


def tell(what: str, told: Timeline) -> bool:
    """Print what was measured; whether it is as it has to be."""
    ended = f"{told.ended:.1f}" if told.ended is not None else "?"
    print(f"""
{what}
  lost in the API after                  {told.lost:6.1f} s
  last guest on the cell gone after      {ended:>6} s
  all {GUESTS} guests run elsewhere after      {told.elsewhere:6.1f} s
  the cell is clean, after it was healed {told.clean:6.1f} s
  looks at all cells                     {told.looks:6d}
  of them with a guest twice             {len(told.twice):6d}
  a disk's lock, as another cell saw it  {told.locks}
""")
    return not told.twice


def main() -> int:
    """Exit status 0 when no guest ran twice."""
    folder = CHECKOUT / "var" / "failover-check"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Its sessions live 180 s, and some waits are longer on a busy machine.
    os.environ["NANO_SESSION_TIMEOUT_SECONDS"] = "7200"
    lab = Lab(INSTANCE, progress=say)
    keep = os.environ.get("NANO_LAB_KEEP") == "1"
    lab.up(3)
    service = Service(lab, Path(folder))
    try:
        ansible(CHECKOUT / "playbooks/cell_onboard.yml", lab.inventory_path)
        say("cells onboarded")
        storage = provide_shared_storage(lab)
        say("shared storage is there")
        service.start()
        fine = scenes(service, storage)
    finally:
        service.client.close()
        service.api.stop()
        if not keep:
            lab.down()
    return 0 if fine else 1


def scenes(service: Service, storage: SharedStorage) -> bool:
    """Kill, then cut."""
    lab, client = service.lab, service.client

    def log_in() -> None:
        client.login(USER, PASSWORD)

    cells = [cell.name for cell in lab.cells]
    make_pool(client, lab, storage, cells)
    say("pool with failover, all cells have their lease")
    log_in()
    image = client.upload_image("tiny", lab.image_qcow2, owner=USER, group=USER)
    ids = make_guests(client, service.order, image, "cell3", GUESTS)
    say(f"{GUESTS} guests run on cell3")
    killed = lose_a_cell(client, lab, "cell3", ids, lab.kill, log_in)
    fine = tell("Power failure of cell3", killed)
    log_in()
    for guest_id in ids:
        client.call("DELETE", f"/guests/{guest_id}", {"force": True})
    ids = make_guests(client, service.order, image, "cell2", GUESTS)
    say(f"{GUESTS} guests run on cell2")
    cut = lose_a_cell(client, lab, "cell2", ids, lab.cut, log_in)
    return tell("Cut cable of cell2", cut) and fine


if __name__ == "__main__":
    sys.exit(main())
