# SPDX-License-Identifier: Apache-2.0
"""Puts the playbooks, roles and the collection into the wheel.

An installed service runs the same files as a checkout. An editable install must not get copies,
or it would go on running old ones.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CONTENT = ("ansible.cfg", "collection", "playbooks", "roles")


class ContentHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds ``CONTENT`` as ``nano_api/content`` to a real wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds."""
        if version != "editable":
            for name in CONTENT:
                build_data["force_include"][name] = f"nano_api/content/{name}"
