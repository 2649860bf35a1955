# SPDX-License-Identifier: Apache-2.0
"""Where an answer's shape differs from the document's, each with its reason."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]
Correction = Callable[[Schema], Schema]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "array", "items": TEXT}
_NUMBERS: Schema = {"type": "array", "items": NUMBER}
NOTHING: Schema = {"const": ""}
ID: Schema = {
    "type": "object",
    "properties": {"id": {"type": "string", "minLength": 1}},
    "required": ["id"],
    "additionalProperties": False,
}


def record(**fields: Schema) -> Schema:
    """An object; a field whose name ends in ``_`` may be missing."""
    return {
        "type": "object",
        "properties": {name.rstrip("_"): shape for name, shape in fields.items()},
        "required": [name for name in fields if not name.endswith("_")],
        "additionalProperties": False,
    }


def many(shape: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": shape}


def _object_in(shape: Schema, place: str) -> Schema:
    for step in (*place.split("."),) if place else ():
        shape = shape["items"] if step == "[]" else shape["properties"][step]
    return shape


def _changed(place: str, change: Callable[[Schema], None]) -> Correction:
    def correct(shape: Schema) -> Schema:
        shape = copy.deepcopy(shape)
        change(_object_in(shape, place))
        return shape

    return correct


def optional(place: str, *names: str) -> Correction:
    """Fields that are left out when they are empty."""

    def change(found: Schema) -> None:
        for name in names:
            found["required"].remove(name)

    return _changed(place, change)


def absent(place: str, *names: str) -> Correction:
    """Fields that only the document has."""

    def change(found: Schema) -> None:
        for name in names:
            del found["properties"][name]
            if name in found["required"]:
                found["required"].remove(name)

    return _changed(place, change)


def added(place: str, **fields: Schema) -> Correction:
    """Fields that the document does not have; a name with ``_`` at its end may be missing."""

    def change(found: Schema) -> None:
        for name, shape in fields.items():
            found["properties"][name.rstrip("_")] = shape
            if not name.endswith("_"):
                found["required"].append(name)

    return _changed(place, change)


def instead(shape: Schema) -> Correction:
    """Another shape altogether."""
    return lambda _documented: shape


_ADDRESSES = record(network_address_=TEXT, display_address_=TEXT, allocated_address_=TEXT)
_QOS = record(
    cpu_priority={"enum": ["high", "medium", "low"]},
    write_speed_=NUMBER,
    write_iops_=NUMBER,
    read_speed_=NUMBER,
    read_iops_=NUMBER,
    receive_speed_=NUMBER,
    send_speed_=NUMBER,
)
# The document gives every guest also the fields of the order for it (template, modules, cloud_init,
# ports, from_image, security_policy_group, network_address): the real system tells none of them.
_BOTH = {
    "name": {"type": "string", "pattern": r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$"},
    "id": TEXT,
    "created": FLAG,
    "progress_": NUMBER,  # while it is being created
    "running": FLAG,
    "lost_": FLAG,
    "owner": TEXT,
    "group": TEXT,
    "cores": NUMBER,
    "memory": NUMBER,
    "total_disk": NUMBER,
    "disks": {"type": "array", "items": NUMBER, "minItems": 1},  # the portal reads the first
    "auto_start": FLAG,
    "system": {"enum": ["linux", "windows"]},
    "ethernet_address": TEXT,
    "display_protocol": {"enum": ["vnc", "spice"]},
    "internal": _ADDRESSES,
    "create_time": TEXT,
}
GUEST = record(
    **_BOTH, pool=TEXT, cell=TEXT, host=TEXT, external=_ADDRESSES, qos=_QOS, media_attached_=FLAG
)
_GUEST_ALONE = {**GUEST, "properties": {**GUEST["properties"], "monitor_secret": TEXT}}
# Pool and cell are not told of an instance; counters and free memory of those that run only.
INSTANCE = record(
    **_BOTH,
    external_=_ADDRESSES,
    qos_=_QOS,
    pool_=TEXT,
    cell_=TEXT,
    host_=TEXT,
    monitor_secret_=TEXT,
    media_attached_=FLAG,
    media_source_=TEXT,
    cpu_usage_={"type": "number"},
    memory_available_=NUMBER,
    disk_available_=NUMBER,
    bytes_read_=NUMBER,
    bytes_written_=NUMBER,
    bytes_received_=NUMBER,
    bytes_sent_=NUMBER,
    stale_=FLAG,  # ours: the figures are old
)
_TIMES = {"create_time": TEXT, "modify_time": TEXT}
_IMAGE_ALONE = record(
    name=TEXT,
    owner=TEXT,
    group=TEXT,
    description=TEXT,
    created=FLAG,
    progress=NUMBER,
    size=NUMBER,
    tags=TEXTS,
    **_TIMES,
    # ours: what the file is
    format_={"enum": ["qcow2", "raw", "iso"]},
    virtual_size_=NUMBER,
    sha1_=TEXT,
    sha256_=TEXT,
)
_IMAGES = many(
    record(
        name=TEXT,
        id=TEXT,
        owner=TEXT,
        group=TEXT,
        description_=TEXT,
        created=FLAG,
        size=NUMBER,
        tags_=TEXTS,
        **_TIMES,
    )
)
_RULE = record(
    action={"enum": ["accept", "reject"]},
    protocol={"enum": ["tcp", "udp", "icmp"]},  # the document's "all" is refused by the real system
    from_address_=TEXT,
    to_address_=TEXT,
    to_port=NUMBER,
)  # `interface` is in the document only
_ACCOUNT = record(password_=TEXT, user_=TEXT)
_ALLOCATED = many(record(address=TEXT, instance=TEXT))


def _batch(*states: str) -> tuple[Correction, ...]:
    item = record(name_=TEXT, id=TEXT, status={"enum": [*states]}, error_=TEXT, progress_=NUMBER)
    return (instead(many(item)),)


CORRECTIONS: dict[int, tuple[Correction, ...]] = {
    11: (optional("", "storage"),),  # of cells in pools with shared storage
    12: (instead(many(record(name=TEXT, type=TEXT, host=TEXT, target=TEXT))),),
    22: (instead(record(mode={"enum": ["local", "nfs"]}, system=TEXTS, data=TEXTS)),),
    24: (instead(many(INSTANCE)),),
    25: (instead(many(INSTANCE)),),
    # `stale` is ours: the figures are old.
    17: (added("", stale_=FLAG),),
    18: (added("[]", stale_=FLAG),),
    19: (added("", stale_=FLAG),),
    # The document forgets the guests' numbers.
    20: (added("[]", instances={**_NUMBERS, "minItems": 4, "maxItems": 4}, stale_=FLAG),),
    21: (added("", instances={**_NUMBERS, "minItems": 4, "maxItems": 4}, stale_=FLAG),),
    26: (
        absent("[]", "mode"),  # accepted, never told
        added("[]", dns_=TEXTS),
    ),
    27: (
        absent("", "mode"),  # accepted, never told
        optional("", "ranges", "allocated"),
        added("", dns_=TEXTS),
        lambda shape: {
            **shape,
            "properties": {
                **shape["properties"],
                "ranges": many(record(start=TEXT, end=TEXT, netmask=TEXT, capacity=NUMBER)),
                "allocated": _ALLOCATED,
            },
        },
    ),
    31: (absent("[]", "type"),),  # neither in the example nor in the real one
    32: (
        instead(record(start=TEXT, end=TEXT, netmask=TEXT, capacity=NUMBER, allocated_=_ALLOCATED)),
    ),
    35: (instead(many(GUEST)),),
    36: (instead(_GUEST_ALONE),),
    # The document has these two without the envelope, and a number for the user's name.
    45: (instead(_ACCOUNT),),
    46: (instead(_ACCOUNT),),
    51: (instead(record(default_action={"enum": ["accept", "reject"]}, rules_=many(_RULE))),),
    57: (instead(INSTANCE),),
    62: (
        instead(
            {
                "type": "object",
                "additionalProperties": record(is_root_=FLAG, is_current_=FLAG, backing_=TEXT),
            }
        ),
    ),
    65: (instead(record(running=FLAG, description_=TEXT, create_time=TEXT)),),  # no envelope there
    68: (instead(_IMAGES),),
    69: (instead(NOTHING),),
    70: (instead(_IMAGES),),
    71: (instead(_IMAGE_ALONE),),
    72: (instead(ID),),
    77: (instead(_IMAGES),),
    79: (instead(_IMAGE_ALONE),),
    80: (instead(ID),),
    85: (optional("", "usb", "tablet"),),  # none
    89: (optional("", "description"),),
    93: (instead(many(_RULE)),),
    98: (instead(ID),),
    99: (instead(record(finished=FLAG, progress_=NUMBER, error_=TEXT)),),
    100: (instead(many(record(id=TEXT, finished=FLAG, progress_=NUMBER, error_=TEXT))),),
    102: _batch("creating", "created", "fail"),
    104: _batch("deleting", "deleted", "fail"),
    106: _batch("stopping", "stopped", "fail"),
    107: (optional("[]", "description"),),
    108: (instead(record(result=many(GUEST), total=NUMBER, limit=NUMBER, offset=NUMBER)),),
    109: (instead(TEXTS),),
    110: (instead(record(menu_=TEXTS)),),
    114: (instead(many(record(name=TEXT, display=TEXT, member=NUMBER))),),
    115: (optional("", "role", "member"),),
    123: (optional("", "nick", "mail"), added("", name=TEXT)),
    129: (added("", group=TEXT, menu={**TEXTS, "minItems": 1}, address_=TEXT),),
    131: (
        absent("", "resource"),  # the real system has none
        optional("", "address"),
        added("", timeout=NUMBER),
    ),
    134: (
        instead(
            record(
                logs=many(
                    record(
                        id={"type": "string", "pattern": "^[0-9]{17}$"},  # the example shows 18
                        time=TEXT,
                        content=TEXT,
                        # ours: who really wrote it
                        source={"enum": ["server", "client"]},
                        user_=TEXT,
                        address_=TEXT,
                    )
                ),
                total=NUMBER,
            )
        ),
    ),
}

#: Where the document says another HTTP status than the real system.
STATUSES: dict[int | str, set[int]] = {
    79: {200},  # also while the file arrives
    80: {200, 202},  # 202 only where it is built from a guest
    98: {200},
    99: {200},
    37: {200, 202},
}

#: The real system's path → the endpoint of the document that it serves.
REAL_PATHS: dict[str, int] = {
    "GET /compute_cell_status/{pool}/{cell}": 21,
    "GET /instance_status/{pool}/{cell}": 25,
    "GET /address_pools/{pool}/{type}/ranges/{start}": 32,
    "POST /address_pools/{pool}/{type}/ranges/{start}": 33,
    "DELETE /address_pools/{pool}/{type}/ranges/{start}": 34,
    "PUT /guests/{id}/security_policy/rules/{index}": 54,
    "PUT /guests/{id}/security_policy/rules/{index}/order": 55,
    "DELETE /guests/{id}/security_policy/rules/{index}": 56,
    "GET /media_images/{id}/file/": 75,
    "POST /media_images/{id}/file/": 76,
    "POST /disk_images/{id}/file/": 83,
    "GET /user_groups/{group}/members/": 119,
}

_JOB_STATE = {"enum": ["queued", "running", "succeeded", "failed", "canceled", "unknown"]}
_JOB: Schema = {
    "type": "object",
    "properties": {"id": TEXT, "operation": TEXT, "state": _JOB_STATE, "percent": NUMBER},
    "required": ["id", "operation", "state", "percent", "subject", "requested_by"],
}

#: Endpoints that the document does not have: the real system's, then our own.
OURS: dict[str, Schema] = {
    "GET /system/": record(ready=FLAG, max_cores=NUMBER, max_memory=NUMBER, max_disk=NUMBER),
    "POST /system/": NOTHING,
    "GET /sessions/": TEXTS,
    "PUT /guests/{id}/monitor/secret": NOTHING,
    "GET /disk_images/{id}/file/": {"const": "a file"},
    "GET /jobs/": many(_JOB),
    "GET /jobs/{id}": _JOB,
    "DELETE /jobs/{id}": {"type": ["object", "string"]},
    "GET /jobs/{id}/events": {"const": "a stream"},
    "GET /jobs/{id}/log": {"const": "a text"},
    "GET /tokens/": {"type": "array"},
    "POST /tokens/": {"type": "object", "required": ["token"]},
    "DELETE /tokens/{id}": NOTHING,
}
