# SPDX-License-Identifier: Apache-2.0
"""What a new guest is given: a cell, a MAC, a port for its display, a secret."""

from __future__ import annotations

import secrets
import string
from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.errors import Conflict
from nano_api.guests.scheduling import Candidate, Demand
from nano_api.guests.tables import Guest
from nano_api.jobs.tables import JobLock
from nano_api.storage_pools import placement

#: Nano's prefix (Xen's block of addresses, which Nano uses too).
_MAC_PREFIX = "00:16:3e"
_MAC_TRIES = 50
#: Nano's range; its length is the most guests that a cell takes.
FIRST_DISPLAY_PORT, LAST_DISPLAY_PORT = 5901, 6000
#: Kind of the locks that keep ports for guests on their way to a cell.
PORT_LOCK = "display_port"
#: VNC looks at eight characters only.
_SECRET_LENGTH = 8


def candidates(session: Session, pool: str) -> list[Candidate]:
    """The cells of a pool that may get a guest now, with what their guests were promised."""
    usable = [Cell.pool == pool, Cell.alive, Cell.enabled, Cell.in_inventory]
    usable.append(Cell.lease != "revoked")
    shared = placement.shared_storage(session, pool) is not None
    if shared:
        usable.append(Cell.storage_attached)
    cells = list(session.scalars(select(Cell).where(*usable)))
    promised = {cell.name: Demand(0, 0, 0) for cell in cells}
    # What is being created does not show in the figures of its cell yet.
    coming = dict(promised)
    query = select(Guest.cell, Guest.state, Guest.cores, Guest.memory_bytes, Guest.disks)
    for cell_name, state, cores, memory_bytes, disks in session.execute(
        query.where(Guest.cell.in_(promised), Guest.state != "failed")
    ):
        demand = Demand(cores, memory_bytes, sum(disks))
        promised[cell_name] = promised[cell_name].plus(demand)
        if state == "creating":
            coming[cell_name] = coming[cell_name].plus(demand)
    # On shared storage what is coming to any cell takes the room of all.
    coming_disk = {name: each.disk_bytes for name, each in coming.items()}
    if shared:
        coming_disk = dict.fromkeys(coming, sum(coming_disk.values()))
    return [
        Candidate(
            name=cell.name,
            cores=cell.cores,
            cpu_usage_percent=cell.cpu_usage_percent,
            memory_bytes=cell.memory_bytes,
            memory_available_bytes=max(
                0, cell.memory_available_bytes - coming[cell.name].memory_bytes
            ),
            disk_bytes=cell.disk_bytes,
            disk_available_bytes=max(0, cell.disk_available_bytes - coming_disk[cell.name]),
            promised=promised[cell.name],
        )
        for cell in cells
    ]


def free_mac(session: Session) -> str:
    """:raises Conflict: luck is against us, or the addresses are used up"""
    for _ in range(_MAC_TRIES):
        mac = ":".join([_MAC_PREFIX, *(f"{byte:02x}" for byte in secrets.token_bytes(3))])
        if session.scalar(select(Guest.id).where(Guest.mac == mac)) is None:
            return mac
    raise Conflict(f"no free MAC address found below {_MAC_PREFIX}")


def free_display_port(session: Session, cell: str, besides: Collection[int] = ()) -> int:
    """A port that no guest of the cell has, nor one that is on its way there.

    :raises Conflict: the cell has as many guests as it may
    """
    used = {*besides, *session.scalars(select(Guest.display_port).where(Guest.cell == cell))}
    coming = select(JobLock.resource_id).where(
        JobLock.kind == PORT_LOCK, JobLock.resource_id.startswith(f"{cell}:", autoescape=True)
    )
    used.update(int(each.rpartition(":")[2]) for each in session.scalars(coming))
    free = [p for p in range(FIRST_DISPLAY_PORT, LAST_DISPLAY_PORT + 1) if p not in used]
    if not free:
        limit = LAST_DISPLAY_PORT - FIRST_DISPLAY_PORT + 1
        raise Conflict(f"cell '{cell}' has {limit} guests already, the most that it may")
    return secrets.choice(free)


def port_id(cell: str, port: int) -> str:
    """How a lock names a display's port on a cell."""
    return f"{cell}:{port}"


def new_monitor_secret() -> str:
    """A password for a guest's display."""
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(_SECRET_LENGTH))
