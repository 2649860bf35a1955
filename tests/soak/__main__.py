# SPDX-License-Identifier: Apache-2.0
"""`make soak`: a lab busy with everything, and a straight line through all that it holds."""

# A command line talks by printing.
# ruff: noqa: T201

from __future__ import annotations

import argparse
import csv
import sys
import time
from functools import partial
from pathlib import Path

from tests.e2e.conftest import POOL, USER, Service
from tests.e2e.own_lab import own_lab, say
from tests.soak.resources import HEADING, Trend, resources
from tests.soak.work import Shift, Work

SAMPLE_SECONDS = 10
#: The first part of the time is for caches and pools of threads to fill.
WARM_UP = 0.25


def begin(service: Service, image: str) -> list[Shift]:
    """Everything at once; each kind of work has a client of its own."""
    lives, moves, looks, polls = (
        Work(service, name, image) for name in ("lives", "moves", "looks", "polls")
    )
    return [
        Shift("guests' lives", lives.life, 5),
        Shift("migrations", partial(moves.move, moves.running_guest()), 20),
        Shift("consoles", partial(looks.look, looks.running_guest()), 5),
        Shift("polls of the portal", polls.poll, 2),
    ]


def sample(service: Service, seconds: float, file: Path) -> list[tuple[float, dict[str, float]]]:
    """What is held, every ten seconds; kept in a file too."""
    pid = service.api.pid
    if pid is None:
        raise SystemExit("the API has ended")
    begun, samples = time.monotonic(), []
    with file.open("w", newline="") as lines:
        table = csv.writer(lines)
        while (at := time.monotonic() - begun) < seconds:
            found = resources(pid, service.api.data, service.lab)
            if not samples:
                table.writerow(["seconds", *found])
            table.writerow([round(at, 1), *(round(value, 1) for value in found.values())])
            lines.flush()
            samples.append((at, found))
            time.sleep(SAMPLE_SECONDS)
    return samples


def tell(samples: list[tuple[float, dict[str, float]]], shifts: list[Shift]) -> bool:
    """Print the figures; whether all is flat and nothing failed."""
    from_now_on = samples[-1][0] * WARM_UP
    trends = [
        Trend.of(name, [(at, found[name]) for at, found in samples if at >= from_now_on])
        for name in samples[0][1]
    ]
    print(f"\n{HEADING}")
    for trend in trends:
        print(trend)
    print()
    for shift in shifts:
        print(f"{shift.name:<34}{shift.rounds:9d} rounds, {shift.failures.total()} failed")
        for message, count in shift.failures.items():
            print(f"    {count} x {message}")
    return all(trend.flat for trend in trends) and not any(shift.failures for shift in shifts)


def main() -> int:
    """Exit status 0 when all is flat and nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    minutes = parser.parse_args().minutes
    with own_lab("soak", 2) as service:
        client = service.client
        image = client.upload_image("tiny", service.lab.image_qcow2, owner=USER, group=USER)
        client.call("POST", f"/compute_pools/{POOL}")
        for cell in service.lab.cells:
            client.call("POST", f"/compute_pool_cells/{POOL}/{cell.name}")
        client.wait_for_live_cells({cell.name for cell in service.lab.cells})
        shifts = begin(service, image)
        say(f"busy for {minutes:g} minutes")
        for shift in shifts:
            shift.start()
        samples = sample(service, minutes * 60, service.api.folder / "samples.csv")
        for shift in shifts:
            shift.stop()
        fine = tell(samples, shifts)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
