# SPDX-License-Identifier: Apache-2.0
"""Who may call what: one table for all endpoints. ``access`` enforces it.

A path stands here without its parameters' names and without a slash at its end. A route without
an entry is refused for everybody, and fails a test. ``docs/adr/0010-authorization.md`` has the
reasons.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from nano_api import API_PREFIX

#: What belongs to a user and a group. The last three have rules of their own in ``access``.
Kind = Literal["guest", "disk_image", "media_image", "policy_group", "job", "session", "user"]

#: Holders of this menu handle guests, images and policy groups of everybody.
OPERATOR_MENU = "compute_pool"


@dataclass(frozen=True)
class Access:
    """What an endpoint needs. Every condition counts; the default is any session or token."""

    public: bool = False  # not even a session
    ticket: bool = False  # a ticket for the image will do as well; the endpoint checks it
    menus: frozenset[str] = frozenset()  # one of them
    operator: bool = False  # ``OPERATOR_MENU`` besides
    person: bool = False  # no token
    owned: Kind | None = None  # what the path's first parameter names must be the caller's
    mentioned: tuple[tuple[str, Kind], ...] = ()  # the same of fields in the query and the body
    owner_field: str = ""  # the body may name the caller only, here and in ``group``

    def plus(self, **mentioned: Kind) -> Access:
        """The same, and what these fields name must be the caller's."""
        return replace(self, mentioned=(*self.mentioned, *mentioned.items()))


def _menu(*menus: str) -> Access:
    return Access(menus=frozenset(menus))


def _own(kind: Kind, *menus: str) -> Access:
    return Access(menus=frozenset(menus), owned=kind)


_PUBLIC = Access(public=True)
_SESSION = Access()
_USERS = _menu("user")
_SELF = Access(owned="user")
_CELLS = _menu("compute_pool")
_READ_GUEST = _own("guest")
_GUEST = _own("guest", "instance")
_NEW_GUEST = replace(_menu("instance"), owner_field="owner").plus(from_image="disk_image")
_THIS_GUEST = _menu("instance").plus(guest="guest", guests="guest", id="guest")
_BATCH = _own("job", "instance")  # a batch's id is its job's
_IMAGE = _own("disk_image", "image")
_MEDIA = _own("media_image", "media")
_POLICY = _own("policy_group", "policies")
_TOKENS = Access(person=True)

TABLE: dict[str, Access] = {
    # the service itself, outside of the API's prefix
    "GET /healthz": _PUBLIC,
    "GET /readyz": _PUBLIC,
    "GET /metrics": _menu("compute_pool", "log"),
    # accounts
    "GET /system": _PUBLIC,
    "POST /system": _PUBLIC,
    "POST /sessions": _PUBLIC,
    "GET /sessions": _USERS,
    "GET /sessions/{}": _own("session"),
    "PUT /sessions/{}": _SESSION,
    "GET /roles": _USERS,
    "GET /roles/{}": _USERS,
    "POST /roles/{}": _USERS,
    "PUT /roles/{}": _USERS,
    "DELETE /roles/{}": _USERS,
    "GET /user_groups": _USERS,
    "GET /user_groups/members": _USERS,
    "GET /user_groups/{}": _USERS,
    "POST /user_groups/{}": _USERS,
    "PUT /user_groups/{}": _USERS,
    "DELETE /user_groups/{}": _USERS,
    "GET /user_groups/{}/members": _USERS,
    "POST /user_groups/{}/members/{}": _USERS,
    "DELETE /user_groups/{}/members/{}": _USERS,
    "GET /users": _USERS,
    "GET /user_search": _USERS,
    "GET /users/{}": _SELF,
    "POST /users/{}": _USERS,
    "PUT /users/{}": _SELF,
    "DELETE /users/{}": _USERS,
    "PUT /users/{}/password": replace(_SELF, person=True),
    "GET /tokens": _TOKENS,
    "POST /tokens": _TOKENS,
    "DELETE /tokens/{}": _TOKENS,
    "GET /resource_visibilities": _SESSION,
    "PUT /resource_visibilities": _menu("visibility"),
    "GET /logs": _menu("log"),
    "POST /logs": _SESSION,
    "DELETE /logs": _menu("log"),
    # what everything runs on
    "GET /compute_pools": _SESSION,
    "GET /compute_pools/{}": _SESSION,
    "POST /compute_pools/{}": _CELLS,
    "PUT /compute_pools/{}": _CELLS,
    "DELETE /compute_pools/{}": _CELLS,
    "GET /compute_pool_cells": _SESSION,
    "GET /compute_pool_cells/{}": _SESSION,
    "GET /compute_pool_cells/{}/{}": _SESSION,
    "POST /compute_pool_cells/{}/{}": _CELLS,
    "PUT /compute_pool_cells/{}/{}": _CELLS,
    "DELETE /compute_pool_cells/{}/{}": _CELLS,
    "GET /cells/{}/maintenance": _CELLS,
    "POST /cells/{}/maintenance": _CELLS,
    "DELETE /cells/{}/maintenance": _CELLS,
    "GET /storage_pools": _SESSION,
    "GET /storage_pools/{}": _SESSION,
    "POST /storage_pools/{}": _menu("storage_pool"),
    "PUT /storage_pools/{}": _menu("storage_pool"),
    "DELETE /storage_pools/{}": _menu("storage_pool"),
    "GET /address_pools": _SESSION,
    "GET /address_pools/{}": _SESSION,
    "POST /address_pools/{}": _menu("address_pool"),
    "PUT /address_pools/{}": _menu("address_pool"),
    "DELETE /address_pools/{}": _menu("address_pool"),
    "GET /address_pools/{}/{}/ranges": _SESSION,
    "GET /address_pools/{}/{}/ranges/{}": _SESSION,
    "POST /address_pools/{}/{}/ranges/{}": _menu("address_pool"),
    "DELETE /address_pools/{}/{}/ranges/{}": _menu("address_pool"),
    "GET /address_pools/ranges/{}": _SESSION,
    "POST /address_pools/ranges/{}": _menu("address_pool"),
    "DELETE /address_pools/ranges/{}": _menu("address_pool"),
    "GET /compute_zone_status": _SESSION,
    "GET /compute_pool_status": _SESSION,
    "GET /compute_pool_status/{}": _SESSION,
    "GET /compute_cell_status/{}": _SESSION,
    "GET /compute_cell_status/{}/{}": _SESSION,
    "GET /compute_cell_status/{}/{}/storages": _SESSION,
    "PUT /compute_cell_status/{}/{}/storages": _CELLS,
    "GET /instance_status/{}": _SESSION,  # shows what the caller may see
    "GET /instance_status/{}/{}": _SESSION,
    "GET /jobs": _menu("compute_pool", "log"),
    "GET /jobs/{}": _own("job"),
    "DELETE /jobs/{}": _own("job"),
    "GET /jobs/{}/events": _own("job"),
    "GET /jobs/{}/log": _own("job"),
    # guests; searches show what the caller may see
    "GET /guest_search": _SESSION,
    "POST /search/guests": _SESSION,
    "POST /guests": _NEW_GUEST,
    "GET /guests/{}": _READ_GUEST,
    "DELETE /guests/{}": _GUEST,
    "PUT /guests/{}/auto_start": _GUEST,
    "PUT /guests/{}/cores": _GUEST,
    "PUT /guests/{}/memory": _GUEST,
    "PUT /guests/{}/name": _GUEST,
    "PUT /guests/{}/disks/resize/{}": _GUEST,
    "PUT /guests/{}/disks/shrink/{}": _GUEST,
    "PUT /guests/{}/system": _GUEST.plus(from_image="disk_image"),
    "GET /guests/{}/auth": _GUEST,
    "PUT /guests/{}/auth": _GUEST,
    "PUT /guests/{}/qos/cpu": _GUEST,
    "PUT /guests/{}/qos/disk": _GUEST,
    "PUT /guests/{}/qos/network": _GUEST,
    "PUT /guests/{}/monitor/secret": _GUEST,
    "GET /guests/{}/security_policy": _READ_GUEST,
    "PUT /guests/{}/security_policy/default_action": _GUEST,
    "POST /guests/{}/security_policy/rules": _GUEST,
    "PUT /guests/{}/security_policy/rules/{}": _GUEST,
    "DELETE /guests/{}/security_policy/rules/{}": _GUEST,
    "PUT /guests/{}/security_policy/rules/{}/order": _GUEST,
    "PUT /guests/security_policy/rules/{}": _THIS_GUEST,
    "DELETE /guests/security_policy/rules/{}": _THIS_GUEST,
    "PUT /guests/security_policy/rules/{}/order": _THIS_GUEST,
    "GET /instances/{}": _READ_GUEST,
    "POST /instances/{}": _GUEST.plus(source="media_image"),
    "DELETE /instances/{}": _GUEST,
    "POST /instances/{}/media": _GUEST.plus(source="media_image"),
    "DELETE /instances/{}/media": _GUEST,
    "GET /instances/{}/snapshots": _READ_GUEST,
    "POST /instances/{}/snapshots": _GUEST,
    "PUT /instances/{}/snapshots": _GUEST,
    "GET /instances/{}/snapshots/{}": _READ_GUEST,
    "DELETE /instances/{}/snapshots/{}": _GUEST,
    "GET /guests/{}/serial_log": _READ_GUEST,
    "POST /monitor_channels": _menu("instance").plus(guest="guest"),
    "GET /monitor_channels/{}": _PUBLIC,  # the channel's id is the key, for one use in 15 s
    "GET /drift": _CELLS,
    "GET /drift/{}": _CELLS,
    "POST /drift/{}/repair": _CELLS,
    "POST /drift/{}/accept": _CELLS,
    "GET /unknown_guests": _CELLS,
    "POST /unknown_guests/{}/{}": _CELLS,
    "POST /migrations": _CELLS,
    "GET /migrations": _CELLS,
    "GET /migrations/{}": _CELLS,
    "POST /batch/create_guest": _NEW_GUEST,
    "GET /batch/create_guest/{}": _BATCH,
    "POST /batch/delete_guest": _THIS_GUEST,
    "GET /batch/delete_guest/{}": _BATCH,
    "POST /batch/stop_guest": _THIS_GUEST,
    "GET /batch/stop_guest/{}": _BATCH,
    # what guests are made of; searches show what the caller may see
    "GET /disk_image_search": _SESSION,
    "POST /disk_images": replace(_menu("image"), owner_field="owner").plus(guest="guest"),
    "PATCH /disk_images": replace(_menu("image"), operator=True),
    "GET /disk_images/{}": _own("disk_image"),
    "PUT /disk_images/{}": replace(_IMAGE, owner_field="owner"),
    "DELETE /disk_images/{}": _IMAGE,
    "POST /disk_images/{}/file": replace(_IMAGE, ticket=True),
    "POST /disk_image_files/{}": _IMAGE,
    "GET /disk_images/{}/file": replace(_own("disk_image"), ticket=True),
    "GET /media_image_search": _SESSION,
    "GET /media_images": _SESSION,
    "POST /media_images": replace(_menu("media"), owner_field="owner"),
    "PATCH /media_images": replace(_menu("media"), operator=True),
    "GET /media_images/{}": _own("media_image"),
    "PUT /media_images/{}": replace(_MEDIA, owner_field="owner"),
    "DELETE /media_images/{}": _MEDIA,
    "POST /media_images/{}/file": _MEDIA,
    "POST /media_image_files/{}": _MEDIA,
    "GET /media_images/{}/file": replace(_own("media_image"), ticket=True),
    "GET /media_image_files/{}": replace(_own("media_image"), ticket=True),
    "GET /templates": _SESSION,
    "GET /templates/{}": _SESSION,
    "POST /templates": _menu("templates"),
    "PUT /templates/{}": _menu("templates"),
    "DELETE /templates/{}": _menu("templates"),
    "GET /search/security_policy_groups": _SESSION,
    "GET /security_policy_groups/{}": _SESSION,
    "POST /security_policy_groups": replace(_menu("policies"), owner_field="user"),
    "PUT /security_policy_groups/{}": replace(_POLICY, owner_field="user"),
    "DELETE /security_policy_groups/{}": _POLICY,
    "GET /security_policy_groups/{}/rules": _SESSION,
    "POST /security_policy_groups/{}/rules": _POLICY,
    "PUT /security_policy_groups/{}/rules/{}": _POLICY,
    "DELETE /security_policy_groups/{}/rules/{}": _POLICY,
    "PUT /security_policy_groups/{}/rules/{}/order": _POLICY,
}

_PARAMETER = re.compile(r"\{([^}:]*)[^}]*\}")


def key_of(method: str, path: str) -> str:
    """How the table calls a route: ``GET /guests/{}`` for ``GET`` and ``/guests/{id}/``.

    The route of a websocket shows its path with the API's prefix, others without.
    """
    bare = path.removeprefix(API_PREFIX)
    return f"{method} {_PARAMETER.sub('{}', bare).rstrip('/')}"


def first_parameter(path: str) -> str:
    """The name of a path's first parameter, "" without one."""
    found = _PARAMETER.search(path)
    return found[1] if found else ""
