# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.fuzz --cases N --seed S``"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog

from tests.contract.world import a_world
from tests.fuzz.fuzzing import fuzz


def main() -> int:
    """Fuzz, and say what was found."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=16_000)
    options.add_argument("--seed", type=int, default=20)
    chosen = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        a_world(Path(folder), job_wait_seconds=0.01, session_timeout_seconds=86400) as world,
    ):
        report = fuzz(world, chosen.cases, chosen.seed, lambda line: print(line, flush=True))  # noqa: T201
    seconds = time.monotonic() - begun
    print(  # noqa: T201
        f"{report.cases} cases, {report.operations} endpoints, seed {chosen.seed}, {seconds:.0f} s;"
        f" error codes {dict(sorted(report.codes.items()))}; {len(report.failures)} failures"
    )
    return 1 if report.failures else 0


sys.exit(main())
