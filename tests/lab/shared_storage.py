# SPDX-License-Identifier: Apache-2.0
"""Shared storage for the lab's cells: GlusterFS on its storage server, by the real playbook.

The kernel of a development machine may lack NFS, client and server. So that the storage type
`nfs` is exercised all the same, `stand_in_for_nfs` gives a cell a `mount.nfs` that is a STAND-IN:
it mounts a GlusterFS volume of the name that was asked for. Everything else (libvirt's pool of
type nfs, `mount -t nfs`, /proc/mounts, locks) is what it is; NFS's own protocol is not tested.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cell import Cell
from tests.lab.errors import LabError
from tests.lab.identity import CHECKOUT
from tests.lab.lab import Lab

# The one of the tests of the API; others have their own.
VOLUME = "guests"
# How long a dead cell's locks hold the others up.
PING_TIMEOUT_SECONDS = 5

STAND_IN = """\
#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A stand-in: there is no NFS in this kernel, what is mounted is a GlusterFS volume.
exec mount -t glusterfs "$1" "$2"
"""


@dataclass(frozen=True)
class SharedStorage:
    """Where it is: `source` of a pool of type glusterfs, `/source` of one of type nfs."""

    host: str
    source: str


def storage_variables(volume: str, **more: str) -> dict[str, object]:
    """Variables of the role storage for a volume of the lab's server; `more` are values of it."""
    return {
        "storage_gluster_force": True,
        "storage_gluster_volumes": [
            {
                "name": volume,
                "brick": f"/srv/gluster/{volume}",
                "options": {"network.ping-timeout": str(PING_TIMEOUT_SECONDS)},
                **more,
            }
        ],
        # Written down and checked, not served: see above.
        "storage_nfs_start": False,
        "storage_exports": [{"path": f"/{volume}"}],
    }


def provide_shared_storage(lab: Lab, volume: str) -> SharedStorage:
    """Bring up the storage server with a volume, and give the cells what mounts it.

    Safe to repeat, with other volumes too. The lab's `down` removes it with everything else.
    """
    server = lab.storage()
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            *("-i", str(lab.inventory_path), "playbooks/storage_setup.yml"),
            *("-e", json.dumps(storage_variables(volume))),
        ],
        cwd=CHECKOUT,
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"storage_setup.yml failed: {done.stdout[-3000:]}{done.stderr[-1000:]}")
    return SharedStorage(server.address, volume)


def stand_in_for_nfs(cell: Cell) -> None:
    """Give a cell the `mount.nfs` that is described above, in place of the real one."""
    real, path = "/sbin/mount.nfs.real", "/sbin/mount.nfs"
    cell.run(["dpkg-divert", "--local", "--rename", "--divert", real, "--add", path])
    cell.run(["sh", "-c", f"cat > {path} && chmod 755 {path}"], input_text=STAND_IN)
