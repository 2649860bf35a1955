# SPDX-License-Identifier: Apache-2.0
"""Lets tests import what the role's modules import on a cell, by the same names."""

from pathlib import Path

import ansible.module_utils

ROLE_MODULE_UTILS = Path(__file__).resolve().parents[2] / "roles/cell/module_utils"

# Ansible joins a role's module_utils to its own package in the same way.
ansible.module_utils.__path__.append(str(ROLE_MODULE_UTILS))
