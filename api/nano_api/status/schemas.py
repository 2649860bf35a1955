# SPDX-License-Identifier: Apache-2.0
"""Status of zone, pools and cells on the wire. Sizes in bytes, speeds in bytes per second."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from nano_api.clock import wire_time
from nano_api.envelope import WireModel
from nano_api.status import service
from nano_api.status.figures import Figures


class Usage(BaseModel):
    """What every status has."""

    name: str
    instances: tuple[int, int, int, int] = Field(
        description="guests: stopped, running, lost, migrating"
    )
    cpu_usage: float = Field(description="cores in use, of max_cpu")
    max_cpu: int = Field(description="logical processors")
    available_memory: int
    max_memory: int
    available_disk: int
    max_disk: int
    read_speed: int
    write_speed: int
    receive_speed: int
    send_speed: int
    stale: bool | None = Field(
        None, description="true: some of the figures are older than 5 s; not there otherwise"
    )


class CellStatusOut(Usage):
    """A cell. One that is not alive shows no figures: nobody knows them."""

    address: str
    enabled: bool
    alive: bool


class PoolStatusOut(Usage):
    """A compute pool."""

    enabled: bool
    cells: tuple[int, int] = Field(description="offline, online")


class ZoneStatusOut(Usage):
    """Everything together."""

    pools: tuple[int, int] = Field(description="disabled, enabled")
    cells: tuple[int, int] = Field(description="offline, online")
    start_time: str = Field(description="YYYY-MM-DD HH:MM:SS, the server's local time")


class StorageOut(BaseModel):
    """Where a cell keeps guests' disks."""

    mode: Literal["local", "nfs", "glusterfs"]
    system: list[str]
    data: list[str]


class StorageBody(WireModel):
    """Where a cell shall keep guests' disks."""

    default: str = Field(default="", description="required: an absolute path")


def cell_status(status: service.CellStatus) -> dict[str, Any]:
    """The wire's form."""
    return {
        **_usage(status.cell.name, status.figures),
        "address": status.cell.address,
        "enabled": status.cell.enabled,
        "alive": status.cell.alive,
    }


def pool_status(status: service.PoolStatus) -> dict[str, Any]:
    """The wire's form."""
    return {
        **_usage(status.pool.name, status.figures),
        "enabled": status.pool.enabled,
        "cells": (status.figures.cells_offline, status.figures.cells_online),
    }


def zone_status(status: service.ZoneStatus) -> dict[str, Any]:
    """The wire's form."""
    return {
        **_usage(service.ZONE, status.figures),
        "pools": (status.pools_disabled, status.pools_enabled),
        "cells": (status.figures.cells_offline, status.figures.cells_online),
        "start_time": wire_time(service.STARTED_AT),
    }


def _usage(name: str, figures: Figures) -> dict[str, Any]:
    guests, speeds = figures.guests, figures.speeds
    return {
        "name": name,
        "instances": (guests.stopped, guests.running, guests.lost, guests.migrating),
        "cpu_usage": figures.used_cores,
        "max_cpu": figures.cores,
        "available_memory": figures.memory_available_bytes,
        "max_memory": figures.memory_bytes,
        "available_disk": figures.disk_available_bytes,
        "max_disk": figures.disk_bytes,
        "read_speed": speeds.read,
        "write_speed": speeds.write,
        "receive_speed": speeds.receive,
        "send_speed": speeds.send,
        **({"stale": True} if figures.stale else {}),
    }
