# SPDX-License-Identifier: Apache-2.0
"""Enforces the table of ``authorization``: one dependency of every route, before anything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi.requests import HTTPConnection, Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from nano_api.authorization import (
    OPERATOR_MENU,
    TABLE,
    Access,
    Kind,
    first_parameter,
    key_of,
)
from nano_api.cloud import Cloud
from nano_api.errors import Forbidden
from nano_api.guests.tables import Guest
from nano_api.images.tables import Image
from nano_api.jobs.tables import Job
from nano_api.security_policies.tables import SecurityPolicyGroup
from nano_api.sessions.dependency import accept_cookie, credential_of, identify, is_ticket
from nano_api.sessions.service import SessionInfo
from nano_api.settings import Settings
from nano_api.users.service import ACCOUNTS_MENU
from nano_api.visibility import service as visibility

#: Kind → the table whose rows have ``owner`` and ``group``, and the flag that shows them to it.
OWNED_TABLES: Mapping[str, tuple[Any, visibility.Kind | None]] = {
    "guest": (Guest, "instance"),
    "disk_image": (Image, "disk_image"),
    "media_image": (Image, "media_image"),
    "policy_group": (SecurityPolicyGroup, None),  # always shown to the group
}

_MOST_MENTIONED = 1000


async def authorize(connection: HTTPConnection) -> None:
    """Let a request through to its endpoint.

    :raises Unauthenticated: it needs a session, and has none that lives
    :raises Forbidden: the session may not do this
    """
    path = connection.scope["route"].path
    access = TABLE.get(key_of(connection.scope.get("method", "GET"), path))
    if access is None:
        raise Forbidden("nobody may use this path: it has no rule of access")
    if access.public or (access.ticket and is_ticket(connection)):
        return
    if access.ticket and connection.scope.get("method") in ("GET", "HEAD"):
        accept_cookie(connection)
    cloud: Cloud = connection.app.state.cloud
    fields = await _fields(connection, access)
    resource = connection.path_params.get(first_parameter(path), "")
    await run_in_threadpool(_check, cloud, connection, access, str(resource), fields)


def sees_everything(settings: Settings, caller: SessionInfo) -> bool:
    """Whether lists that are not the caller's own may be shown in full."""
    return not _enforced(settings, caller) or OPERATOR_MENU in caller.menu


def check_console(session: Session, settings: Settings, caller: SessionInfo, guest: str) -> None:
    """What ``POST /monitor_channels/`` checks, again, of a console that is open.

    :raises Forbidden: the caller may not use the guest's consoles
    """
    if _enforced(settings, caller):
        _check_menus(TABLE["POST /monitor_channels"], caller)
        _check_owned(session, "guest", guest, caller)


def _enforced(settings: Settings, caller: SessionInfo) -> bool:
    # Nano has no tokens: their limits count always.
    return settings.authorization == "enforced" or bool(caller.token)


async def _fields(connection: HTTPConnection, access: Access) -> list[Mapping[str, Any]]:
    """The query and the body, where the rule looks into them."""
    if not access.mentioned and not access.owner_field:
        return []
    found: list[Mapping[str, Any]] = [connection.query_params]
    if isinstance(connection, Request) and await connection.body():
        body = await connection.json()
        if isinstance(body, dict):
            found.append(body)
    return found


def _check(
    cloud: Cloud,
    connection: HTTPConnection,
    access: Access,
    resource: str,
    fields: list[Mapping[str, Any]],
) -> None:
    caller = identify(cloud, connection)
    if not _enforced(cloud.settings, caller):
        return
    _check_menus(access, caller)
    _check_named_owner(access, caller, fields)
    with cloud.database.reading() as session:
        if access.owned == "session":
            if resource != credential_of(connection) and ACCOUNTS_MENU not in caller.menu:
                raise Forbidden("this is somebody else's session")
        elif access.owned is not None:
            _check_owned(session, access.owned, resource, caller)
        for kind, mentioned in _mentioned(access, fields):
            _check_owned(session, kind, mentioned, caller)


def _check_menus(access: Access, caller: SessionInfo) -> None:
    if access.person and caller.token:
        raise Forbidden("a token may not do this: log in with name and password")
    if access.menus and not access.menus.intersection(caller.menu):
        needed = "' or '".join(sorted(access.menus))
        raise Forbidden(f"this needs the menu '{needed}', which {caller.user} has not")
    if access.operator and OPERATOR_MENU not in caller.menu:
        raise Forbidden(f"this needs the menu '{OPERATOR_MENU}', which {caller.user} has not")


def _check_named_owner(
    access: Access, caller: SessionInfo, fields: list[Mapping[str, Any]]
) -> None:
    if not access.owner_field or OPERATOR_MENU in caller.menu:
        return
    own = {access.owner_field: caller.user, "group": caller.group}
    for source in fields:
        for name, value in own.items():
            if source.get(name) not in (None, "", value):
                raise Forbidden(
                    f"{name} must be '{value}': only holders of the menu '{OPERATOR_MENU}'"
                    " may name somebody else",
                    field=name,
                )


def _mentioned(access: Access, fields: list[Mapping[str, Any]]) -> Iterator[tuple[Kind, str]]:
    for name, kind in access.mentioned:
        for source in fields:
            value = source.get(name)
            values = value[:_MOST_MENTIONED] if isinstance(value, list) else [value]
            yield from ((kind, item) for item in values if item and isinstance(item, str))


def _check_owned(session: Session, kind: Kind, resource: str, caller: SessionInfo) -> None:
    """What does not exist passes: the endpoint says so better.

    :raises Forbidden: it is somebody else's, and not shown to the caller's group
    """
    if kind == "user":
        if resource != caller.user and ACCOUNTS_MENU not in caller.menu:
            raise Forbidden(f"this needs the menu '{ACCOUNTS_MENU}', or to be user '{resource}'")
        return
    if OPERATOR_MENU in caller.menu:
        return
    if kind == "job":
        job = session.get(Job, resource)
        if job is None or job.requested_by == caller.user:
            return
        if job.subject_kind != "guest":
            raise Forbidden(f"job '{resource}' is somebody else's", job=resource)
        kind, resource = "guest", job.subject_id
    if kind not in OWNED_TABLES:
        raise Forbidden(f"nobody may use this: {kind} has no rule of ownership")
    table, flag = OWNED_TABLES[kind]
    row = session.execute(select(table.owner, table.group).where(table.id == resource)).first()
    if row is None or row.owner == caller.user:
        return
    shown = flag is None or visibility.flags_of(session, caller.group)[flag]
    if not (shown and row.group == caller.group):
        what = kind.replace("_", " ")
        raise Forbidden(f"{what} '{resource}' is somebody else's", kind=kind, id=resource)
