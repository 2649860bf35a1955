# SPDX-License-Identifier: Apache-2.0
"""The Ansible inventory of a lab: what an operator would write for real hosts."""

import json
import shlex

from tests.lab.cell import GUEST_NIC, Cell

BRIDGE = "br0"


def inventory_text(cells: list[Cell]) -> str:
    """Return YAML with every cell in the group `cells`."""
    lines = ["---", "cells:", "  hosts:"]
    for cell in cells:
        lines += [f"    {cell.name}:", f"      ansible_host: {cell.address}"]
    common = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(cells[0].keys.private_key),
        "ansible_ssh_common_args": shlex.join(cells[0].keys.common_options()),
        "ansible_python_interpreter": "/usr/bin/python3",
        "cell_bridge": BRIDGE,
        "cell_bridge_nic": GUEST_NIC,
    }
    lines.append("  vars:")
    # A JSON string is a YAML string: no path can break out of its quotes.
    lines += [f"    {name}: {json.dumps(value)}" for name, value in common.items()]
    return "\n".join(lines) + "\n"
