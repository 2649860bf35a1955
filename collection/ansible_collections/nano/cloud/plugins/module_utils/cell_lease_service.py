# SPDX-License-Identifier: BSD-2-Clause
"""The lease that lets a cell run guests on shared storage: granted, taken back, given up."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List

from .cell_lease_spec import LeaseRequest
from .differences import Differences
from .errors import Conflict
from .libvirt_host import LibvirtHost
from .shared_storage import LEASES, clock, read_block, replace_file, shared_path, write_block

CONFIGURATION = Path("/etc/nano-cloud/lease.json")
RUN_DIRECTORY = Path("/run/nano-cloud-lease")
#: Longest time until all hosts see what one has written to the storage, twice over.
_VISIBLE_SECONDS = 4.0
#: From the lease's end to the end of the last guest.
_ENDING_SECONDS = 5.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class LeaseOutcome:
    """What was (in check mode: would be) different, and how the lease stands."""

    differences: Differences
    lease: Dict[str, Any]


def ensure_granted(host: LibvirtHost, request: LeaseRequest, check_mode: bool) -> LeaseOutcome:
    """This cell takes part in failover, and holds the lease when this returns.

    :raises Conflict: its unit does not take the lease.
    """
    path = shared_path(host, request.pool)
    grant_file = _file(path, request, "grant")
    grant = read_block(grant_file)
    wanted = {
        "cell": request.cell,
        "pool": request.pool,
        "path": str(path),
        "lease_seconds": request.lease_seconds,
    }
    before = {"configuration": read_block(CONFIGURATION), "granted": bool(grant.get("granted"))}
    differences = Differences(before, {"configuration": wanted, "granted": True})
    if not check_mode:
        if before["configuration"] != wanted:
            replace_file(CONFIGURATION, json.dumps(wanted).encode())
        if not before["granted"]:
            grant = {"epoch": int(grant.get("epoch", 0)) + 1, "granted": True}
            write_block(grant_file, grant)
        _await_lease(request)
    return LeaseOutcome(differences, _told(request, grant, "", 0))


def _await_lease(request: LeaseRequest) -> None:
    deadline = clock() + request.wait_seconds
    while float(read_block(RUN_DIRECTORY / "lease.json").get("until", 0)) <= clock():
        if clock() > deadline:
            raise Conflict(
                f"cell {request.cell} does not take its lease on pool {request.pool}: is its unit "
                "nano-cell-lease running? Set cell_failover for it and run "
                "playbooks/cell_onboard.yml",
                cell=request.cell,
            )
        time.sleep(_POLL_SECONDS)


def ensure_revoked(host: LibvirtHost, request: LeaseRequest, check_mode: bool) -> LeaseOutcome:
    """Another cell's lease is taken back; when this returns, none of its guests runs.

    :raises Conflict: that could not be made certain; says why.
    """
    path = shared_path(host, request.pool)
    grant_file = _file(path, request, "grant")
    grant = read_block(grant_file)
    granted = grant.get("granted") is not False
    differences = Differences({"granted": granted}, {"granted": False})
    if check_mode:
        return LeaseOutcome(differences, _told(request, grant, "", 0))
    if granted:
        grant = {"epoch": int(grant.get("epoch", 0)) + 1, "granted": False}
        write_block(grant_file, grant)
    begun = clock()
    how = "fenced" if request.fenced else _await_end(path, request, int(grant["epoch"]), begun)
    return LeaseOutcome(differences, _told(request, grant, how, clock() - begun))


def _await_end(path: Path, request: LeaseRequest, epoch: int, revoked_at: float) -> str:
    """How it is known that the cell's guests are ended."""
    beat_file = _file(path, request, "beat")
    seen = read_block(RUN_DIRECTORY / "peers.json").get(request.cell) or {}
    known, since = seen.get("beat"), float(seen.get("since", 0))
    while True:
        beat, now = read_block(beat_file), clock()
        if beat and _identity(beat) != known:
            known, since = _identity(beat), now
        if beat.get("state") == "stopped" and beat.get("epoch") == epoch:
            return "acknowledged"
        unwatched = not beat or beat.get("state") == "off"
        if unwatched and now >= revoked_at + _VISIBLE_SECONDS:
            raise Conflict(
                f"cell {request.cell} cannot be known to have ended its guests: its unit "
                "nano-cell-lease did not run. Switch it off and set nano_fence_command, or bring "
                "it back",
                cell=request.cell,
            )
        rest = _VISIBLE_SECONDS
        if beat.get("state") != "stopped":
            rest = float(beat.get("lease_seconds", request.lease_seconds)) + _ENDING_SECONDS
        if not unwatched and now >= revoked_at + _VISIBLE_SECONDS and now >= since + rest:
            return "expired"
        if now > revoked_at + request.wait_seconds:
            raise Conflict(
                f"cell {request.cell} goes on writing to pool {request.pool} though its lease was "
                f"taken back {request.wait_seconds:.0f} s ago: its guests do not end",
                cell=request.cell,
            )
        time.sleep(_POLL_SECONDS)


def _identity(beat: Dict[str, Any]) -> List[Any]:
    return [beat.get("boot"), beat.get("counter")]


def ensure_released(_host: LibvirtHost, request: LeaseRequest, check_mode: bool) -> LeaseOutcome:
    """This cell takes no part in failover any more; its guests go on without a lease."""
    found = read_block(CONFIGURATION)
    differences = Differences({"configuration": found}, {"configuration": {}})
    if found and not check_mode:
        CONFIGURATION.unlink()
        path = Path(str(found["path"]))
        if os.path.ismount(path):
            # From now on its beat says nothing about its guests.
            write_block(_file(path, request, "beat"), {"state": "off"})
            _file(path, request, "grant").unlink(missing_ok=True)
    return LeaseOutcome(differences, _told(request, {}, "", 0))


def _file(path: Path, request: LeaseRequest, kind: str) -> Path:
    return path / LEASES / f"{request.cell}.{kind}"


def _told(request: LeaseRequest, grant: Dict[str, Any], how: str, waited: float) -> Dict[str, Any]:
    return {
        "cell": request.cell,
        "granted": bool(grant.get("granted")),
        "epoch": int(grant.get("epoch", 0)),
        "ended": how,
        "waited_seconds": round(waited, 1),
    }
