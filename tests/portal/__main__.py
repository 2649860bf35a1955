# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.portal FOLDER`: the portal in FOLDER, screen by screen, against real cells."""

# A command line talks by printing.
# ruff: noqa: T201

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.lab.api_process import ApiProcess
from tests.lab.first_light import onboard, say
from tests.lab.identity import CHECKOUT
from tests.lab.lab import Lab
from tests.nano_client import NanoClient
from tests.portal.browser import CHROMIUM, Portal, Troubles, browser
from tests.portal.desk import desk, program_at
from tests.portal.journey import Journey

INSTANCE = "portal"
PORT = 5871


def main() -> None:
    """Entry of `python -m tests.portal`."""
    parser = argparse.ArgumentParser(prog="python -m tests.portal", description=__doc__)
    parser.add_argument("folder", type=Path, help="the portal's unpacked web_root")
    parser.add_argument("--name", default="portal", help="of the folder for the pictures")
    parser.add_argument("--keep", action="store_true", help="leave the cells up afterwards")
    parser.add_argument("--begin", help="the first step, on what a run with --keep left")
    arguments = parser.parse_args()
    folder = CHECKOUT / "var" / "portal-check" / arguments.name
    if not arguments.begin:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    lab = Lab(INSTANCE, progress=say)
    api = ApiProcess(folder)
    os.environ["NANO_PORTAL_DIR"] = str(arguments.folder.resolve())
    try:
        lab.up(2)
        if not arguments.begin:
            onboard(lab, folder / "onboarding.log")
        api.start(lab.inventory_path, PORT, [lab.host_address])
        address = f"http://{lab.host_address}:{PORT}"
        found = travel(lab, address, folder, arguments.begin)
    finally:
        api.stop()
        if not arguments.keep:
            lab.down()
    print(f"pictures: {folder.relative_to(CHECKOUT)}")
    for trouble in found:
        print(f"  {trouble}")
    sys.exit(f"{len(found)} troubles" if found else 0)


def travel(lab: Lab, address: str, folder: Path, begin: str | None) -> list[str]:
    """Every step, or those from one on; what went wrong."""
    client = NanoClient(address)
    client.wait_until_it_serves()
    client.close()
    troubles = Troubles()
    with (
        tempfile.TemporaryDirectory() as scratch,
        desk(lab) as network,
        sync_playwright() as playwright,
        browser(
            playwright,
            Path(scratch, "profile"),
            troubles,
            program=program_at(network, CHROMIUM, Path(scratch)),
        ) as context,
    ):
        portal = Portal(context.new_page(), address, folder, troubles)
        for step in Journey(portal, lab).steps(begin):
            say(f"{step.__name__.replace('_', ' ')}: {(step.__doc__ or '').splitlines()[0]}")
            before = len(troubles.found)
            try:
                step()
            except Exception as error:
                traceback.print_exc()
                portal.picture_as_it_is("failed")
                troubles.found.append(f"{step.__name__}: {str(error).splitlines()[0]}")
            for trouble in troubles.found[before:]:
                say(f"  ! {trouble}")
    return troubles.found


if __name__ == "__main__":
    main()
