# SPDX-License-Identifier: Apache-2.0
"""The Ansible inventory of a lab: what an operator would write for real hosts."""

import json
import shlex

from tests.lab.cell import GUEST_NIC, Cell
from tests.lab.identity import STORAGE_NAME

BRIDGE = "br0"


def inventory_text(machines: list[Cell]) -> str:
    """Return YAML with the cells in the group `cells`, and the storage server in `storage`."""
    cells = [machine for machine in machines if machine.name != STORAGE_NAME]
    stores = [machine for machine in machines if machine.name == STORAGE_NAME]
    keys = machines[0].keys
    common = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(keys.private_key),
        "ansible_ssh_common_args": shlex.join(keys.common_options()),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    bridge = {"cell_bridge": BRIDGE, "cell_bridge_nic": GUEST_NIC}
    lines = ["---", *_group("cells", cells, {**common, **bridge})]
    if stores:
        lines += _group("storage", stores, common)
    return "\n".join(lines) + "\n"


def _group(name: str, machines: list[Cell], variables: dict[str, str]) -> list[str]:
    lines = [f"{name}:", "  hosts:"]
    for machine in machines:
        lines += [f"    {machine.name}:", f"      ansible_host: {machine.address}"]
    # A JSON string is a YAML string: no path can break out of its quotes.
    return [
        *lines,
        "  vars:",
        *(f"    {key}: {json.dumps(text)}" for key, text in variables.items()),
    ]
