# SPDX-License-Identifier: Apache-2.0
"""Resource visibility on the wire."""

from __future__ import annotations

from pydantic import BaseModel

from nano_api.envelope import WireModel


class VisibilityOut(BaseModel):
    """Whether the members of the caller's group see each other's."""

    instance_visible: bool
    disk_image_visible: bool
    media_image_visible: bool


class VisibilityBody(WireModel):
    """All three flags; a missing one is switched off."""

    instance_visible: bool = False
    disk_image_visible: bool = False
    media_image_visible: bool = False
