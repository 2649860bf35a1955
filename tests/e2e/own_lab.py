# SPDX-License-Identifier: Apache-2.0
"""What the checks that take minutes share: a lab of their own with an API, and figures told."""

# A command line talks by printing.
# ruff: noqa: T201

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.conftest import Service, ansible
from tests.lab.identity import CHECKOUT
from tests.lab.lab import Lab

_BEGUN = time.monotonic()


def say(text: str) -> None:
    """One line of progress, with the seconds since the start."""
    print(f"[{time.monotonic() - _BEGUN:6.1f} s] {text}", flush=True)


@contextmanager
def own_lab(name: str, cells: int) -> Iterator[Service]:
    """A running API over onboarded cells that are in no pool yet; all gone afterwards.

    ``name``: of the lab, and of the API's folder in var. NANO_LAB_KEEP=1 leaves the cells up.
    """
    folder = CHECKOUT / "var" / f"{name}-check"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Sessions live 180 s, and some waits are longer on a busy machine.
    os.environ["NANO_SESSION_TIMEOUT_SECONDS"] = "86400"
    lab = Lab(name, progress=say)
    try:
        lab.up(cells)
        ansible(CHECKOUT / "playbooks/cell_onboard.yml", lab.inventory_path)
        say("cells onboarded")
        service = Service(lab, folder)
        try:
            service.start()
            yield service
        finally:
            service.client.close()
            service.api.stop()
    finally:
        if os.environ.get("NANO_LAB_KEEP") != "1":
            lab.down()
