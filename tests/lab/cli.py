# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.lab`: the lab from the command line."""

# A command line talks by printing.
# ruff: noqa: T201

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence

from tests.lab.errors import LabError
from tests.lab.identity import DEFAULT_INSTANCE
from tests.lab.lab import DEFAULT_CELLS, Lab

DESCRIPTION = """\
A machine room on this machine. Cells are containers with their own systemd, ssh server, apt,
disk and network; they stand on a management network, where Ansible reaches them, and on a
guest LAN with a DHCP server. Needs root, and Debian 12 or 13.
"""

EXAMPLES = """\
examples:
  python -m tests.lab up             two cells (the first time builds their root filesystem)
  python -m tests.lab up 3           add a third
  python -m tests.lab status         what is there, and where the Ansible inventory is
  python -m tests.lab exec cell1     a shell in a cell;  exec cell1 ip address  runs a command
  python -m tests.lab cut cell2      pull its management cable;  heal cell2  plugs it in again
  python -m tests.lab kill cell2     a power failure;  heal cell2  switches it on again
  python -m tests.lab down           remove everything
  python -m tests.lab --instance a up   a second lab beside the first, sharing nothing with it

Ansible:  ansible -i var/lab/inventory.yml cells -m ping
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m tests.lab",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument(
        "--instance",
        default=DEFAULT_INSTANCE,
        metavar="NAME",
        help="which lab of this checkout; its state is in var/lab, or var/lab-NAME for others "
        "(default: %(default)s)",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="bring up N cells; safe to repeat, finishes and grows")
    up.add_argument(
        "cells",
        nargs="?",
        type=int,
        metavar="N",
        help=f"how many (default: as many as there are, or {DEFAULT_CELLS})",
    )
    commands.add_parser("down", help="remove everything the lab has made, also after a crash")
    status = commands.add_parser("status", help="show cells, addresses and networks")
    status.add_argument("--json", action="store_true", help="as JSON, for programs")
    execute = commands.add_parser("exec", help="run a command in a cell, or a shell without one")
    execute.add_argument("cell", metavar="CELL")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="CMD")
    kill = commands.add_parser("kill", help="power failure: everything in the cell dies at once")
    kill.add_argument("cell", metavar="CELL")
    cut = commands.add_parser("cut", help="pull the cell's network cable; the cell runs on")
    cut.add_argument("cell", metavar="CELL")
    cut.add_argument(
        "--link",
        choices=("management", "guest-lan", "all"),
        default="management",
        help="which cable (default: %(default)s)",
    )
    heal = commands.add_parser("heal", help="plug the cables in, or switch a killed cell on")
    heal.add_argument("cell", metavar="CELL")
    commands.add_parser("images", help="build the tiny guest image and print where it is")
    commands.add_parser("prune", help="delete cached files of recipes that are no longer current")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 1, with one sentence, when it cannot be done."""
    arguments = parser().parse_args(argv)
    started = time.monotonic()

    def progress(text: str) -> None:
        print(f"[{time.monotonic() - started:5.1f} s] {text}", file=sys.stderr, flush=True)

    try:
        return _run(arguments, Lab(arguments.instance, progress=progress))
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on from here.", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace, lab: Lab) -> int:
    match arguments.command:
        case "up":
            lab.up(arguments.cells)
            lab.progress("The lab is up")
            _print_status(lab.status())
        case "down":
            lab.down()
            lab.progress("The lab is down")
        case "status":
            status = lab.status()
            if arguments.json:
                print(json.dumps(status, indent=2))
            else:
                _print_status(status)
        case "exec":
            command = lab.exec_arguments(arguments.cell, arguments.argv)
            os.execvp(command[0], command)
        case "kill":
            lab.kill(arguments.cell)
        case "cut":
            everything = arguments.link == "all"
            lab.cut(
                arguments.cell,
                management=everything or arguments.link == "management",
                guest_lan=everything or arguments.link == "guest-lan",
            )
        case "heal":
            lab.heal(arguments.cell)
        case "prune":
            for path in lab.prune():
                print(f"deleted {path}")
        case "images":
            print(f"qcow2              {lab.image_qcow2}")
            print(f"iso                {lab.image_iso}")
            print(f"agent qcow2        {lab.image_agent_qcow2}")
            print(f"all-drivers qcow2  {lab.image_all_drivers_qcow2}")
            print(f"all-drivers iso    {lab.image_all_drivers_iso}")
    return 0


def _print_status(status: dict[str, object]) -> None:
    print(f"Lab {status['instance']} is {status['state']}.")
    cells = status["cells"]
    if not isinstance(cells, list) or not cells:
        return
    for cell in cells:
        print(f"  {cell['name']:<8} {cell['address']:<15} {cell['state']}")
    host = status["host_address"]
    print(f"  management network {status['management_network']}, this machine is {host}")
    dhcp = "with" if status["dhcp_running"] else "WITHOUT its"
    print(f"  guest LAN          {status['guest_lan']}, {dhcp} DHCP server")
    print(f"  inventory          {status['inventory']}")
