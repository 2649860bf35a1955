# SPDX-License-Identifier: Apache-2.0
"""A guest's row in the words of the module ``guest``, without secrets and disks."""

from __future__ import annotations

from typing import Any

from nano_api.guests.tables import Guest

#: What the row of an adopted guest has where the guest has no such device.
NO_DEVICE = "none"


def wanted_options(guest: Guest) -> dict[str, Any]:
    """Everything that a definition can be compared with."""
    hardware = guest.hardware
    options = {
        "id": guest.id,
        "name": guest.name,
        "owner": guest.owner,
        "group": guest.group,
        "template": guest.template_id,
        "cores": guest.cores,
        "memory_bytes": guest.memory_bytes,
        "network": {"mac": guest.mac, "model": hardware["network"]},
        "disk_bus": hardware["disk"],
        "video": hardware["display"],
        "display": {"protocol": hardware["control"], "port": guest.display_port},
        "usb": hardware["usb"],
        "tablet": hardware["tablet"],
        "agent": "qemu" in guest.modules,
        "auto_start": guest.auto_start,
        **guest.limits,
        "security_policy": guest.id if guest.policy else "",
    }
    for name, device in (("network", "network"), ("display", "control")):
        if hardware[device] == NO_DEVICE:
            del options[name]
    return options
