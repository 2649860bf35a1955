# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes that every module of the collection has."""

from __future__ import annotations


class ModuleDocFragment:
    """``attributes`` of a module that changes things, of one that only reads, and of all."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status without changing anything.
    support: full
  platform:
    description: The hosts that the module runs on. It runs on the libvirt host itself.
    platforms: posix
    support: full
"""

    WRITER = r"""
options: {}
attributes:
  diff_mode:
    description: Returns what differs between the object as it is and as it is wanted.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
"""

    READER = r"""
options: {}
attributes:
  diff_mode:
    description: Returns what differs between the object as it is and as it is wanted.
    support: N/A
    details: The module only reads.
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
"""

    ACTIONGROUP = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/nano.cloud.all) in C(module_defaults) to set options of all modules.
    support: full
    membership:
      - nano.cloud.all
"""
