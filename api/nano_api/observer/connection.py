# SPDX-License-Identifier: Apache-2.0
"""A libvirt connection to a cell, made from the variables that Ansible connects with."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from urllib.parse import quote, urlencode

from nano_api.cells.ssh import is_local, pid_file_of, port_of, ssh_script, user_of
from nano_api.cells.tables import Cell

_LOCAL_URI = "qemu:///system"
#: An inventory's variable that names another libvirt, as for a cell that is a test's socket.
URI_VARIABLE = "nano_libvirt_uri"


class Route:
    """How libvirt reaches a cell for one purpose; one connection at a time uses it."""

    def __init__(self, cell: Cell, folder: Path, purpose: str) -> None:
        """``folder`` takes the ssh command that the URI names.

        libvirt's ssh transport knows few options, the inventory may have any: so libvirt is given
        a command of ours that calls ssh with all of them.
        """
        self._script: Path | None = None
        if URI_VARIABLE in cell.connection:
            self.uri = str(cell.connection[URI_VARIABLE])
        elif is_local(cell):
            self.uri = _LOCAL_URI
        else:
            self._script = ssh_script(cell, folder, purpose)
            self.uri = _ssh_uri(cell, self._script)

    def cut(self) -> None:
        """End the ssh of an opening that takes too long, so that whoever waits for it is told.

        Only while that opening is going on: its ssh is then our child, and its number its own.
        """
        if self._script is None:
            return
        with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
            os.kill(int(pid_file_of(self._script).read_text()), signal.SIGTERM)


def _ssh_uri(cell: Cell, script: Path) -> str:
    ssh_port = port_of(cell)
    port = f":{ssh_port}" if ssh_port is not None else ""
    host = f"[{cell.address}]" if ":" in cell.address else cell.address
    options = urlencode({"command": str(script), "no_tty": "1"}, safe="/")
    return f"qemu+ssh://{quote(user_of(cell), safe='')}@{host}{port}/system?{options}"
