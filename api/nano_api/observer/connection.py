# SPDX-License-Identifier: Apache-2.0
"""A libvirt connection to a cell, made from the variables that Ansible connects with."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlencode

from nano_api.cells.ssh import is_local, port_of, ssh_script, user_of
from nano_api.cells.tables import Cell

_LOCAL_URI = "qemu:///system"


def libvirt_uri(cell: Cell, folder: Path) -> str:
    """The URI of the cell's libvirt; ``folder`` takes the ssh command that the URI names.

    libvirt's ssh transport knows few options, the inventory may have any: so libvirt is given a
    command of ours that calls ssh with all of them.
    """
    if is_local(cell):
        return _LOCAL_URI
    ssh_port = port_of(cell)
    port = f":{ssh_port}" if ssh_port is not None else ""
    host = f"[{cell.address}]" if ":" in cell.address else cell.address
    options = urlencode({"command": str(ssh_script(cell, folder)), "no_tty": "1"}, safe="/")
    return f"qemu+ssh://{quote(user_of(cell), safe='')}@{host}{port}/system?{options}"
