# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of every module that talks to libvirt."""

from __future__ import annotations


class ModuleDocFragment:
    """The libvirt connection, and the lock that modules which change something take."""

    DOCUMENTATION = r"""
options:
  uri:
    description:
      - The libvirt connection to use, as seen from the host that the module runs on.
    type: str
    default: qemu:///system
requirements:
  - python >= 3.9
  - libvirt 9.0 or later on the host, with its Python binding (package C(python3-libvirt))
"""

    LOCK = r"""
options:
  lock_timeout_seconds:
    description:
      - How long to wait for another run on the same host that is changing the same object.
      - When the time is over the module fails with the error code V(busy) and names the holder.
    type: int
    default: 60
"""
