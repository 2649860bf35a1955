# SPDX-License-Identifier: Apache-2.0
"""``/roles/``, ``/user_groups/``, ``/users/`` and ``/user_search/``."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

from fastapi import Body, Query, Request

from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.errors import Forbidden, InvalidInput
from nano_api.sessions import service as sessions
from nano_api.sessions import throttling
from nano_api.sessions.address import client_address
from nano_api.sessions.dependency import CurrentSession
from nano_api.users import service
from nano_api.users.names import check_account_name
from nano_api.users.passwords import check_password, hash_password, password_matches
from nano_api.users.schemas import (
    GroupBody,
    GroupDetail,
    GroupSummary,
    NewUserBody,
    PasswordBody,
    RoleBody,
    RoleOut,
    UserBody,
    UserOut,
)

router = NanoRouter()

_ROLES: list[str | Enum] = ["roles"]
_GROUPS: list[str | Enum] = ["user groups"]
_USERS: list[str | Enum] = ["users"]

RoleBodyIn = Annotated[RoleBody, Body(default_factory=RoleBody)]
GroupBodyIn = Annotated[GroupBody, Body(default_factory=GroupBody)]


@router.get("/roles/", response_model=Envelope[list[str]], tags=_ROLES, summary="List all roles")
def list_roles(cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """The names, sorted."""
    with cloud.database.reading() as session:
        return reply(service.list_roles(session))


@router.get(
    "/roles/{role}", response_model=Envelope[RoleOut], tags=_ROLES, summary="Get a role's menus"
)
def get_role(role: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """The menus that a role opens."""
    with cloud.database.reading() as session:
        return reply({"menu": service.get_role(session, role).menu})


@router.post("/roles/{role}", response_model=Envelope[str], tags=_ROLES, summary="Create a role")
def create_role(role: str, cloud: CurrentCloud, _caller: CurrentSession, body: RoleBodyIn) -> Any:
    """A role with its menus."""
    with cloud.database.transaction() as session:
        service.create_role(session, role, body.menu)
    return reply()


@router.put(
    "/roles/{role}", response_model=Envelope[str], tags=_ROLES, summary="Change a role's menus"
)
def change_role(role: str, cloud: CurrentCloud, _caller: CurrentSession, body: RoleBodyIn) -> Any:
    """Replace the menus; what live sessions may do follows at once."""
    with cloud.database.transaction() as session:
        service.change_role(session, role, body.menu)
    return reply()


@router.delete("/roles/{role}", response_model=Envelope[str], tags=_ROLES, summary="Delete a role")
def delete_role(role: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """Refused while a group has it."""
    with cloud.database.transaction() as session:
        service.delete_role(session, role)
    return reply()


@router.get(
    "/user_groups/",
    response_model=Envelope[list[GroupSummary]],
    tags=_GROUPS,
    summary="List all user groups",
)
def list_groups(cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """By name, with the number of members."""
    with cloud.database.reading() as session:
        found = service.list_groups(session)
    return reply(
        [{"name": group.name, "display": group.display, "member": count} for group, count in found]
    )


# Before /user_groups/{group}: there it would be a group's name.
@router.get(
    "/user_groups/members/",
    response_model=Envelope[list[str]],
    tags=_GROUPS,
    summary="List a group's members (the document's path)",
)
def list_members_by_query(
    cloud: CurrentCloud,
    _caller: CurrentSession,
    group: Annotated[str, Query(description="required: the group's name")] = "",
) -> Any:
    """The same as ``/user_groups/{group}/members/``."""
    if not group:
        raise InvalidInput(
            "group required: add ?group=NAME, or use /user_groups/NAME/members/", field="group"
        )
    with cloud.database.reading() as session:
        return reply(service.members_of(session, group))


@router.get(
    "/user_groups/{group}",
    response_model=Envelope[GroupDetail],
    tags=_GROUPS,
    summary="Get a user group",
)
def get_group(group: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """One group with its roles and members."""
    with cloud.database.reading() as session:
        found = service.get_group(session, group)
        roles = service.roles_of(session, group)
        members = service.members_of(session, group)
    return reply(
        {
            "name": found.name,
            "display": found.display,
            "role": roles or None,
            "member": members or None,
        }
    )


@router.post(
    "/user_groups/{group}",
    response_model=Envelope[str],
    tags=_GROUPS,
    summary="Create a user group",
)
def create_group(
    group: str, cloud: CurrentCloud, _caller: CurrentSession, body: GroupBodyIn
) -> Any:
    """A group without members."""
    with cloud.database.transaction() as session:
        service.create_group(session, group, body.display, body.role)
    return reply()


@router.put(
    "/user_groups/{group}",
    response_model=Envelope[str],
    tags=_GROUPS,
    summary="Change a user group",
)
def change_group(
    group: str, cloud: CurrentCloud, _caller: CurrentSession, body: GroupBodyIn
) -> Any:
    """Replace the text and the roles; what live sessions may do follows at once."""
    with cloud.database.transaction() as session:
        service.change_group(session, group, body.display, body.role)
    return reply()


@router.delete(
    "/user_groups/{group}",
    response_model=Envelope[str],
    tags=_GROUPS,
    summary="Delete a user group",
)
def delete_group(group: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """Refused while it has members."""
    with cloud.database.transaction() as session:
        service.delete_group(session, group)
    return reply()


@router.get(
    "/user_groups/{group}/members/",
    response_model=Envelope[list[str]],
    tags=_GROUPS,
    summary="List a group's members",
)
def list_members(group: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """The users in a group, sorted."""
    with cloud.database.reading() as session:
        return reply(service.members_of(session, group))


@router.post(
    "/user_groups/{group}/members/{user}",
    response_model=Envelope[str],
    tags=_GROUPS,
    summary="Add a user to a group",
)
def join_group(group: str, user: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """A user is in one group at most."""
    with cloud.database.transaction() as session:
        service.join_group(session, user, group)
    return reply()


@router.delete(
    "/user_groups/{group}/members/{user}",
    response_model=Envelope[str],
    tags=_GROUPS,
    summary="Take a user out of a group",
)
def leave_group(group: str, user: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """The user's sessions may do nothing any more until it is in a group again."""
    with cloud.database.transaction() as session:
        service.leave_group(session, user, group)
    return reply()


@router.get("/users/", response_model=Envelope[list[str]], tags=_USERS, summary="List all users")
def list_users(cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """The names, sorted."""
    with cloud.database.reading() as session:
        return reply(service.list_users(session))


@router.get(
    "/user_search/",
    response_model=Envelope[list[str]],
    tags=_USERS,
    summary="List the users of a group",
)
def search_users(
    cloud: CurrentCloud,
    _caller: CurrentSession,
    group: Annotated[str, Query(description="none: the users that are in no group")] = "",
) -> Any:
    """The names, sorted."""
    with cloud.database.reading() as session:
        if not group:
            return reply(service.users_without_group(session))
        return reply(service.members_of(session, group))


@router.get("/users/{user}", response_model=Envelope[UserOut], tags=_USERS, summary="Get a user")
def get_user(user: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """One user."""
    with cloud.database.reading() as session:
        found = service.get_user(session, user)
    return reply({"name": found.name, "nick": found.nick or None, "mail": found.mail or None})


@router.post("/users/{user}", response_model=Envelope[str], tags=_USERS, summary="Create a user")
def create_user(
    user: str,
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: Annotated[NewUserBody, Body(default_factory=NewUserBody)],
) -> Any:
    """A user in no group, who cannot log in before joining one."""
    check_account_name(user, "user")
    password_hash = hash_password(check_password(body.password))
    with cloud.database.transaction() as session:
        service.create_user(session, user, password_hash, nick=body.nick, mail=body.mail)
    return reply()


@router.put("/users/{user}", response_model=Envelope[str], tags=_USERS, summary="Change a user")
def change_user(
    user: str,
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: Annotated[UserBody, Body(default_factory=UserBody)],
) -> Any:
    """Change what the body gives; empty fields stay as they are."""
    with cloud.database.transaction() as session:
        service.change_user(session, user, nick=body.nick, mail=body.mail)
    return reply()


@router.delete("/users/{user}", response_model=Envelope[str], tags=_USERS, summary="Delete a user")
def delete_user(user: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """It leaves its group, and its sessions and tokens end."""
    with cloud.database.transaction() as session:
        service.delete_user(session, user)
    return reply()


@router.put(
    "/users/{user}/password/",
    response_model=Envelope[str],
    tags=_USERS,
    summary="Change a user's password",
)
def change_password(
    user: str,
    request: Request,
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: Annotated[PasswordBody, Body(default_factory=PasswordBody)],
) -> Any:
    """Needs the old password. All of the user's sessions end, the caller's own as well."""
    address = client_address(request, cloud.settings)
    with cloud.database.reading() as session:
        throttling.check(session, account=user, address=address)
        stored_hash = service.get_user(session, user).password_hash
    matches = password_matches(stored_hash, body.old)
    with cloud.database.transaction() as session:
        throttling.record(session, account=user, address=address, succeeded=matches)
    if not matches:
        raise Forbidden(f"the old password of user '{user}' is wrong", user=user)
    password_hash = hash_password(check_password(body.new))
    with cloud.database.transaction() as session:
        service.set_password(session, user, password_hash)
        sessions.end_sessions_of(session, user)
    return reply()
