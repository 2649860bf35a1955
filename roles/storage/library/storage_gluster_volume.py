#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a GlusterFS volume over the servers of a group."""

# ruff: noqa: E402 (an Ansible module has its documentation before its imports)
from __future__ import annotations

DOCUMENTATION = r"""
---
module: storage_gluster_volume
short_description: A GlusterFS volume as it should be
description:
  - Has the servers know each other, makes the volume with a brick on each, sets its options and
    starts it. What would need its data to be moved (other servers, brick or replica) is refused.
version_added: "1.0.0"
options:
  name:
    description: The volume's name.
    type: str
    required: true
  servers:
    description: Names or addresses of the servers; the module runs on one of them.
    type: list
    elements: str
    required: true
  brick:
    description: The directory of its brick, the same on every server.
    type: path
    required: true
  replica:
    description: How many servers keep each file; the number of servers is a multiple of it.
    type: int
    default: 1
  options:
    description: Options of the volume, values as Gluster takes them.
    type: dict
    default: {}
  force:
    description: Allow bricks on the root file system.
    type: bool
    default: false
attributes:
  check_mode:
    description: Tells what it would do.
    support: full
  diff_mode:
    description: Tells what differs.
    support: full
author: The nano-cloud developers
"""

EXAMPLES = r"""
- name: A volume on two servers, each with all files
  storage_gluster_volume:
    name: guests
    servers: [192.0.2.31, 192.0.2.32]
    brick: /data/gluster/guests
    replica: 2
"""

RETURN = r"""
volume:
  description: The volume as it now is, with C(status), C(bricks), C(replica) and C(options).
  returned: success
  type: dict
"""

import shutil
import socket
import subprocess
import time
from typing import Any
from xml.etree import ElementTree

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nano.cloud.plugins.module_utils.errors import (
    CloudError,
    Conflict,
    HypervisorError,
    InvalidInput,
)

_JOIN_SECONDS = 60
_STARTED = "Started"


def gluster(*words: str) -> ElementTree.Element:
    """Run one command and return its answer. Raises HypervisorError with Gluster's words."""
    command = ["gluster", "--mode=script", *words, "--xml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answer = ElementTree.fromstring(done.stdout)
    except ElementTree.ParseError:
        told = (done.stderr or done.stdout).strip() or f"status {done.returncode}"
        raise HypervisorError(f"gluster {' '.join(words)}: {told}") from None
    if answer.findtext("opRet") != "0":
        told = answer.findtext("opErrstr") or f"error {answer.findtext('opErrno')}"
        raise HypervisorError(f"gluster {' '.join(words)}: {told}")
    return answer


def peers() -> dict[str, bool]:
    """Return the names of the other servers, and whether each is connected."""
    found = {}
    for peer in gluster("peer", "status").iter("peer"):
        connected = peer.findtext("connected") == "1"
        names = [name.text for name in peer.iter("hostname") if name.text]
        found.update(dict.fromkeys(names, connected))
    return found


def is_myself(server: str) -> bool:
    """Whether a name or address is one of this host's."""
    try:
        address = socket.getaddrinfo(server, None, type=socket.SOCK_STREAM)[0]
        with socket.socket(address[0], socket.SOCK_STREAM) as probe:
            probe.bind((address[4][0], 0))
    except OSError:
        return False
    return True


def missing_peers(servers: list[str]) -> list[str]:
    """Return the servers that this one does not know yet."""
    known = peers()
    return [server for server in servers if server not in known and not is_myself(server)]


def introduce(servers: list[str]) -> None:
    """Have this server know the others. Raises HypervisorError when one does not join."""
    for server in servers:
        gluster("peer", "probe", server)
    deadline = time.monotonic() + _JOIN_SECONDS
    while not all(peers().get(server) for server in servers):
        if time.monotonic() >= deadline:
            raise HypervisorError(f"the servers {', '.join(servers)} do not join: see their logs")
        time.sleep(0.5)


def read(name: str) -> dict[str, Any] | None:
    """Return the volume, None when there is none."""
    if name not in [each.text for each in gluster("volume", "list").iter("volume")]:
        return None
    for volume in gluster("volume", "info", name).iter("volume"):
        return {
            "status": volume.findtext("statusStr"),
            "replica": int(volume.findtext("replicaCount") or 1),
            "bricks": [brick.text for brick in volume.iterfind("./bricks/brick/name")],
            "options": {
                str(option.findtext("name")): str(option.findtext("value"))
                for option in volume.iterfind("./options/option")
            },
        }
    return None


def ensure(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return the module's result; changes nothing in check mode."""
    servers, replica = params["servers"], params["replica"]
    if replica < 1 or len(servers) % replica:
        raise InvalidInput(
            f"replica {replica} does not divide {len(servers)} servers", field="replica"
        )
    options = {name: str(value) for name, value in params["options"].items()}
    wanted = {
        "status": _STARTED,
        "replica": replica,
        "bricks": [f"{server}:{params['brick']}" for server in servers],
        "options": options,
    }
    if check_mode and not shutil.which("gluster"):
        return {"changed": True, "volume": None, "diff": {"before": {}, "after": wanted}}
    found = read(params["name"])
    before = None if found is None else {**found, "options": _common(found["options"], options)}
    changed = before != wanted
    if found is not None:
        refuse_other_data(params["name"], found, wanted)
    if changed and not check_mode:
        apply(params, found, wanted)
    shown = found if check_mode else read(params["name"])
    diff = {"before": before or {}, "after": wanted}
    return {"changed": changed, "volume": shown, "diff": diff if changed else {}}


def _common(found: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in found.items() if name in wanted}


def refuse_other_data(name: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise Conflict for what only moving data could change."""
    for field in ("bricks", "replica"):
        if found[field] != wanted[field]:
            raise Conflict(
                f"volume {name} has {field} {found[field]}, not {wanted[field]}: moving its data "
                "is not done here; see `gluster volume add-brick`, or use another name",
                volume=name,
            )


def apply(params: dict[str, Any], found: dict[str, Any] | None, wanted: dict[str, Any]) -> None:
    """Make what is missing and set what differs."""
    name, options = params["name"], wanted["options"]
    if found is None:
        introduce(missing_peers(params["servers"]))
        words = ["replica", str(params["replica"])] if params["replica"] > 1 else []
        end = ["force"] if params["force"] else []
        gluster("volume", "create", name, *words, *wanted["bricks"], *end)
    for option, value in options.items():
        if found is None or found["options"].get(option) != value:
            gluster("volume", "set", name, option, value)
    if found is None or found["status"] != _STARTED:
        gluster("volume", "start", name)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "servers": {"type": "list", "elements": "str", "required": True},
            "brick": {"type": "path", "required": True},
            "replica": {"type": "int", "default": 1},
            "options": {"type": "dict", "default": {}},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**ensure(module.params, module.check_mode))
    except CloudError as error:
        module.fail_json(msg=error.message, error=error.as_dict())


if __name__ == "__main__":
    main()
