# SPDX-License-Identifier: Apache-2.0
"""``/resource_visibilities/``: what the members of the caller's group see of each other's."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body

from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.sessions.dependency import CurrentSession
from nano_api.visibility import service
from nano_api.visibility.schemas import VisibilityBody, VisibilityOut

router = NanoRouter(tags=["visibility"])


@router.get(
    "/resource_visibilities/",
    response_model=Envelope[VisibilityOut],
    summary="Get the resource visibility of the caller's group",
)
def get_visibility(cloud: CurrentCloud, caller: CurrentSession) -> Any:
    """All flags are off until they are set."""
    with cloud.database.reading() as session:
        flags = service.flags_of(session, caller.group)
    return reply({f"{kind}_visible": value for kind, value in flags.items()})


@router.put(
    "/resource_visibilities/",
    response_model=Envelope[str],
    summary="Change the resource visibility of the caller's group",
)
def change_visibility(
    cloud: CurrentCloud,
    caller: CurrentSession,
    body: Annotated[VisibilityBody, Body(default_factory=VisibilityBody)],
) -> Any:
    """Replace all three flags; one that is left out is switched off."""
    with cloud.database.transaction() as session:
        service.set_flags(
            session,
            caller.group,
            instance=body.instance_visible,
            disk_image=body.disk_image_visible,
            media_image=body.media_image_visible,
        )
    return reply()
