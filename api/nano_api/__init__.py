# SPDX-License-Identifier: Apache-2.0
"""nano-cloud: Project Nano's REST API on libvirt hosts that Ansible runs."""

__version__ = "0.1.0"

#: What the path of every endpoint begins with.
API_PREFIX = "/api/v1"
