# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.hostile --texts N --seed S``"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog

from tests.contract.world import a_world
from tests.hostile.sending import HostileCaller, cheap_passwords, harass_everything
from tests.worker.hostile_texts import COUNT, hostile_texts


def main() -> int:
    """Try everything, and say what was found."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--texts", type=int, default=COUNT, help="how many in each place")
    options.add_argument("--seed", type=int, default=20)
    chosen = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        a_world(Path(folder), job_wait_seconds=5, session_timeout_seconds=86400) as world,
        cheap_passwords(),
    ):
        canary = Path(folder) / "canary"
        caller = HostileCaller(world, hostile_texts(str(canary)), chosen.texts, chosen.seed)
        harass_everything(caller)
        if canary.exists():
            caller.problems.append("a text was run as a command: the canary is there")
    for line in (*sorted(f"{n} {what}" for what, n in caller.accepting.items()), *caller.problems):
        print(line)  # noqa: T201
    print(  # noqa: T201
        f"{caller.outcomes.total()} requests to {len(caller.endpoints)} endpoints, texts in"
        f" {dict(caller.places)} places, {time.monotonic() - begun:.0f} s:"
        f" {dict(caller.outcomes)}; {len(caller.problems)} problems"
    )
    return 1 if caller.problems else 0


sys.exit(main())
