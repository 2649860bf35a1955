# SPDX-License-Identifier: Apache-2.0
"""``/system/``: is there an administrator yet, and make the first one. Needs no session."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body

from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.system import service
from nano_api.system.schemas import InitialiseBody, SystemStatus
from nano_api.users import service as users
from nano_api.users.names import check_account_name, check_menu
from nano_api.users.passwords import check_password, hash_password

router = NanoRouter(tags=["system"])


@router.get("/system/", response_model=Envelope[SystemStatus], summary="Get the system's state")
def get_system(cloud: CurrentCloud) -> Any:
    """``ready`` is false until the first account is made."""
    with cloud.database.reading() as session:
        ready = users.any_user(session)
    return reply(
        SystemStatus(
            ready=ready,
            max_cores=cloud.settings.max_cores,
            max_memory=cloud.settings.max_memory_bytes >> 30,
            max_disk=cloud.settings.max_disk_bytes >> 30,
        )
    )


@router.post("/system/", response_model=Envelope[str], summary="Make the first account")
def initialise_system(
    cloud: CurrentCloud, body: Annotated[InitialiseBody, Body(default_factory=InitialiseBody)]
) -> Any:
    """Make the administrator with its role and group; refused once there is a user."""
    with cloud.database.reading() as session:
        service.check_uninitialised(session)
    check_account_name(body.user, "user")
    check_menu(body.menu)
    password_hash = hash_password(check_password(body.password))
    with cloud.database.transaction() as session:
        service.initialise(
            session,
            user=body.user,
            password_hash=password_hash,
            menu=body.menu,
            group=body.group,
            display=body.display,
            role=body.role,
        )
    return reply()
