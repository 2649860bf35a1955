#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: what a cell needs of its kernel."""

# ruff: noqa: E402 (an Ansible module has its documentation before its imports)
from __future__ import annotations

DOCUMENTATION = r"""
---
module: cell_kernel
short_description: What a cell needs of its kernel
description:
  - Checks that features are there and loads the modules of those that are not, on kernels that
    have loadable modules. A feature that is built in counts, whatever modprobe says.
  - Sets kernel parameters, now and at every start.
version_added: "1.0.0"
options:
  features:
    description: What has to be there.
    type: list
    elements: dict
    default: []
    suboptions:
      module:
        description: Name of the kernel module.
        type: str
        required: true
      path:
        description: Path that exists, and opens if it is a device, when the kernel has the feature.
        type: path
        required: true
      purpose:
        description: What a cell cannot do without it; part of the message when it is missing.
        type: str
        required: true
  parameters:
    description: Kernel parameters by sysctl's name.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Shows what would be done.
    support: full
  diff_mode:
    description: Shows files and values.
    support: full
author: The nano-cloud developers
"""

EXAMPLES = r"""
- name: Let nwfilter see the traffic of bridges
  cell_kernel:
    features:
      - module: br_netfilter
        path: /proc/sys/net/bridge
        purpose: security policies
    parameters:
      net.bridge.bridge-nf-call-iptables: 1
"""

RETURN = r"""
loaded:
  description: Modules that were loaded.
  returned: always
  type: list
  elements: str
"""

import os
import shutil
import stat
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nano.cloud.plugins.module_utils.errors import CloudError, Unsupported

HEADER = "# Written by Ansible (nano-cloud, role cell). Changes here are lost.\n"
MODULES_FILE = "/etc/modules-load.d/nano-cloud.conf"
PARAMETERS_FILE = "/etc/sysctl.d/60-nano-cloud.conf"


def is_there(path: str) -> bool:
    """Whether the kernel has a feature; a device node without a driver behind it does not count."""
    if not os.path.exists(path):
        return False
    if not stat.S_ISCHR(os.stat(path).st_mode):
        return True
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def has_loadable_modules() -> bool:
    return os.path.exists("/proc/modules")


def load(name: str) -> str:
    """Try to load a module; return why that failed, or "" (the feature itself is looked at)."""
    modprobe = shutil.which("modprobe", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if not has_loadable_modules():
        return "this kernel has no loadable modules"
    if modprobe is None:
        return "modprobe is not installed"
    done = subprocess.run([modprobe, "-b", name], capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


def ensure_features(features: list[dict[str, Any]], check_mode: bool) -> list[str]:
    """Load what is missing and return its names. Raises Unsupported for what stays missing."""
    loaded: list[str] = []
    for feature in features:
        if is_there(feature["path"]):
            continue
        loaded.append(feature["module"])
        if check_mode and has_loadable_modules():
            continue
        why = load(feature["module"])
        if not is_there(feature["path"]):
            raise Unsupported(
                f"This host's kernel lacks {feature['module']}, which {feature['purpose']} "
                f"needs: {feature['path']} is not usable even so"
                f"{' (' + why + ')' if why else ''}.",
                module=feature["module"],
                path=feature["path"],
            )
    return loaded


def _path_of(parameter: str) -> str:
    return os.path.join("/proc/sys", parameter.replace(".", "/"))


def ensure_parameters(parameters: dict[str, Any], check_mode: bool) -> list[tuple[str, str, str]]:
    """Set the values that differ; return them as (name, before, after). Raises Unsupported."""
    changed: list[tuple[str, str, str]] = []
    for name, value in sorted(parameters.items()):
        path, wanted = _path_of(name), str(value)
        if not os.path.exists(path):
            if check_mode:
                changed.append((name, "", wanted))
                continue
            raise Unsupported(f"This host's kernel has no parameter {name}.", parameter=name)
        with open(path, encoding="ascii") as stream:
            found = " ".join(stream.read().split())
        if found == wanted:
            continue
        changed.append((name, found, wanted))
        if check_mode:
            continue
        try:
            with open(path, "w", encoding="ascii") as stream:
                stream.write(wanted + "\n")
        except OSError as error:
            raise Unsupported(
                f"The kernel parameter {name} cannot be set to {wanted}: {error.strerror}.",
                parameter=name,
            ) from error
    return changed


def ensure_file(path: str, wanted: str | None, check_mode: bool) -> tuple[str, str]:
    """Make a file's text what is wanted (None: as it is); return before and after."""
    before = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            before = stream.read()
    if wanted is None or wanted == before:
        return before, before
    if not check_mode:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(f"{path}.new", "w", encoding="utf-8") as stream:
            stream.write(wanted)
        os.chmod(f"{path}.new", 0o644)
        os.replace(f"{path}.new", path)
    return before, wanted


def ensure(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return the module's result; changes nothing in check mode."""
    features, parameters = params["features"], params["parameters"]
    loaded = ensure_features(features, check_mode)
    values = ensure_parameters(parameters, check_mode)
    files = {
        PARAMETERS_FILE: HEADER + "".join(f"{k} = {v}\n" for k, v in sorted(parameters.items()))
    }
    if has_loadable_modules():
        files[MODULES_FILE] = HEADER + "".join(f"{feature['module']}\n" for feature in features)
    diff = []
    for path, text in files.items():
        before, after = ensure_file(path, text, check_mode)
        if before != after:
            diff.append(
                {"before": before, "after": after, "before_header": path, "after_header": path}
            )
    if values or loaded:
        now = [f"{name} = {before}" for name, before, _ in values]
        then = [f"{name} = {after}" for name, _, after in values]
        then += [f"module {name}" for name in loaded]
        diff.append({"before": "\n".join(now) + "\n", "after": "\n".join(then) + "\n"})
    return {"changed": bool(diff), "loaded": loaded, "diff": diff}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "features": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "module": {"type": "str", "required": True},
                    "path": {"type": "path", "required": True},
                    "purpose": {"type": "str", "required": True},
                },
            },
            "parameters": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**ensure(module.params, module.check_mode))
    except CloudError as error:
        module.fail_json(msg=error.message, error=error.as_dict())


if __name__ == "__main__":
    main()
