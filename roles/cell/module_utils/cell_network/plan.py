# SPDX-License-Identifier: Apache-2.0
"""What a network manager needs to know to make a bridge, and the change that it answers with."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ansible.module_utils.cell_network.live import Link

from ansible_collections.nano.cloud.plugins.module_utils.errors import Unsupported

HEADER = "# Written by Ansible (nano-cloud, role cell): the guest bridge. Changes here are lost.\n"


@dataclass
class Wanted:
    """The bridge to make: isolated when ``nic`` is None, else with that NIC as its port."""

    bridge: str
    nic: Link | None = None


@dataclass
class Plan:
    """One change of the network configuration, with the way back.

    ``files``: path to new text (None removes the file). ``before`` runs with the old files in
    place, ``after`` with the new ones; ``undo_before`` with the new files, ``undo_after`` with
    the old ones back. Commands are argument lists. When the NIC then has no address after a
    while although it had one, its addresses and routes are set as they were.
    """

    files: dict[str, str | None] = field(default_factory=dict)
    before: list[list[str]] = field(default_factory=list)
    after: list[list[str]] = field(default_factory=list)
    undo_before: list[list[str]] = field(default_factory=list)
    undo_after: list[list[str]] = field(default_factory=list)
    nic: Link | None = None
    file_mode: str = "0644"

    def changed_files(self) -> dict[str, str | None]:
        """Return only the files that differ from what is on disk."""
        return {path: text for path, text in self.files.items() if read_text(path) != text}


def read_text(path: str) -> str | None:
    """Return a file's text, or None when it does not exist."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def refuse_lease(nic: Link, manager: str) -> None:
    """Raise Unsupported when an address has a lifetime and no configuration says who renews it."""
    if nic.has_leased_address:
        raise Unsupported(
            f"cell_bridge_nic: the addresses of {nic.name} are leased (DHCP) but {manager} has "
            "no configuration for it, so they could not be kept on the bridge. Choose the right "
            "cell_network_backend, or let that manager configure the NIC first.",
            nic=nic.name,
        )
