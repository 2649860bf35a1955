# SPDX-License-Identifier: Apache-2.0
"""The administrator's desk: a network of its own for the browser, beside the cells.

Chromium drops every request under way when a network interface of its machine comes or goes
(`net::ERR_NETWORK_CHANGED`), and the portal then logs its user out. On a machine with labs that
happens all the time; on a desk it does not.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.commands import run
from tests.lab.lab import Lab
from tests.lab.network import delete_port

#: Last part of the desk's address on the management network, and the number of its cable.
_PLACE = 200


@contextmanager
def desk(lab: Lab) -> Iterator[str]:
    """The name of a network namespace that is plugged into the lab's management network."""
    name, network = f"nano-lab-{lab.identity.lab_id}-desk", lab.network
    port, inside = network.management_port(_PLACE), ["ip", "-n", name]
    _clear(name, port)
    run(["ip", "netns", "add", name])
    try:
        run(["ip", "link", "add", port, "type", "veth", "peer", "name", "desk0", "netns", name])
        run(["ip", "link", "set", port, "master", network.management_bridge, "up"])
        address = f"{network.management[_PLACE]}/{network.management.prefixlen}"
        run([*inside, "address", "add", address, "dev", "desk0"])
        for link in ("lo", "desk0"):
            run([*inside, "link", "set", link, "up"])
        yield name
    finally:
        _clear(name, port)


def _clear(name: str, port: str) -> None:
    if Path("/run/netns", name).exists():
        run(["ip", "netns", "delete", name])
    delete_port(port)


def program_at(desk_name: str, program: Path, folder: Path) -> Path:
    """A script in a folder that runs a program on the desk's network."""
    script = folder / "at-desk"
    namespace = shlex.quote(f"--net=/run/netns/{desk_name}")
    script.write_text(f'#!/bin/sh\nexec nsenter {namespace} {shlex.quote(str(program))} "$@"\n')
    script.chmod(0o755)
    return script
