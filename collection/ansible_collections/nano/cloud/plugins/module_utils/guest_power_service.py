# SPDX-License-Identifier: BSD-2-Clause
"""A guest's power: running, stopped, paused, rebooted, reset."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping

from . import domain_xml, drive_xml
from .differences import Differences
from .errors import CloudError, Conflict, NotFound
from .guest_power_spec import PowerRequest
from .guest_reader import VolumeCatalog, read_guest
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .media_service import iso_path
from .object_lock import object_lock
from .snapshot_filling import complete_layers

_POLL_SECONDS = 0.2
# A guest that is still booting ignores the power button: it is pressed again from time to time.
_PRESS_AGAIN_SECONDS = 5.0


@dataclass(frozen=True)
class PowerOutcome:
    """What was (in check mode: would be) different, and the guest as it now is.

    ``acted`` is true for a reboot or reset, after which no state differs.
    """

    differences: Differences
    guest: Dict[str, Any]
    acted: bool = False


def ensure_power(
    host: LibvirtHost, request: PowerRequest, check_mode: bool, lock_timeout_seconds: float
) -> PowerOutcome:
    """Bring the guest into the state that is asked for.

    :raises NotFound: there is no such guest.
    :raises Conflict: its state forbids it, or it did not stop in time.
    """
    domain = _find(host, request)
    with contextlib.ExitStack() as locks:
        if not check_mode:
            locks.enter_context(object_lock("guest", domain.id, lock_timeout_seconds))
            domain = _find(host, request)
        before = domain.state()
        after = _plan(domain, request, before)
        acted = request.state in ("rebooted", "reset")
        medium = _boot_medium(host, domain, request)
        if not check_mode and (acted or before != after):
            if request.state == "running":
                complete_layers(host, domain, lock_timeout_seconds)
            if medium:
                host.start_once(drive_xml.with_medium(domain.inactive_xml(secure=True), medium)[0])
            else:
                _ACTIONS[request.state](domain, request)
        guest = read_guest(domain, VolumeCatalog(host), secure=not check_mode)
    differences = Differences({"state": before}, {"state": after})
    return PowerOutcome(differences, guest, acted)


def _find(host: LibvirtHost, request: PowerRequest) -> Domain:
    domain = host.find_domain(request.id, request.name)
    if domain is None:
        raise NotFound(f"guest {request.id or request.name} does not exist on this host")
    return domain


def _plan(domain: Domain, request: PowerRequest, before: str) -> str:
    """The state afterwards.

    :raises Conflict: this state cannot lead there.
    """
    if request.state == "stopped":
        return before if not domain.is_active() else "stopped"
    if request.state == "running":
        if before == "crashed" and domain.is_active() and not request.force:
            raise Conflict(
                f"guest {domain.name} has crashed: reset it, or set force to start it anew",
                guest=domain.name,
            )
        if domain_xml.parse(domain.inactive_xml(secure=False)).incomplete:
            raise Conflict(
                f"guest {domain.name} is incomplete: its creation or removal was interrupted; "
                "run that again first",
                guest=domain.name,
            )
    elif not domain.is_active():
        raise Conflict(f"guest {domain.name} is not running: start it instead", guest=domain.name)
    elif request.state == "paused":
        if before not in ("running", "paused"):
            raise Conflict(
                f"guest {domain.name} is {before}: only a running one can be paused",
                guest=domain.name,
            )
        return "paused"
    return "running"


def _boot_medium(host: LibvirtHost, domain: Domain, request: PowerRequest) -> str:
    """The file that a guest which has to be started shall boot from; ``""``: as it is defined."""
    if not request.boot_image or domain.state() == "running":
        return ""
    problem = ""
    if domain.is_active():
        problem = f"is {domain.state()}: stop it first"
    elif domain.has_saved_state():
        problem = "has a saved state, which a start restores: start and stop it first"
    elif drive_xml.medium(domain.inactive_xml(secure=False)) is None:
        problem = "has no CD drive"
    if problem:
        raise Conflict(
            f"guest {domain.name} cannot boot from image {request.boot_image}: it {problem}",
            field="boot_image",
            guest=domain.name,
        )
    return iso_path(host, request.boot_image, request.image_pool)


def _run(domain: Domain, request: PowerRequest) -> None:
    state = domain.state()
    if state == "paused":
        domain.resume()
    elif state == "suspended":
        domain.wake_up()
    else:
        if domain.is_active() and request.force:
            domain.destroy()
        if not domain.is_active():
            domain.start()


def _stop(domain: Domain, request: PowerRequest) -> None:
    if request.force:
        domain.destroy()
        return
    if _ends_by_itself(domain, request.timeout_seconds):
        return
    if not request.force_after_timeout:
        raise Conflict(
            f"guest {domain.name} did not stop within {request.timeout_seconds} s: its system may "
            "ignore the power button; allow more time, or force",
            guest=domain.name,
            timeout_seconds=request.timeout_seconds,
        )
    domain.destroy()


def _ends_by_itself(domain: Domain, timeout_seconds: float) -> bool:
    now = time.monotonic()
    deadline, press_at = now + timeout_seconds, now
    while domain.is_active():
        now = time.monotonic()
        if now >= deadline:
            return False
        if now >= press_at:
            _press_power_button(domain)
            press_at = now + _PRESS_AGAIN_SECONDS
        time.sleep(_POLL_SECONDS)
    return True


def _press_power_button(domain: Domain) -> None:
    try:
        domain.shut_down()
    except CloudError:
        # It may have ended between the look and the press.
        if domain.is_active():
            raise


def _reboot(domain: Domain, request: PowerRequest) -> None:
    """Stop and start: so it is certain that it happened, and waiting changes take effect."""
    _stop(domain, request)
    domain.start()


def _pause(domain: Domain, _request: PowerRequest) -> None:
    domain.pause()


def _reset(domain: Domain, _request: PowerRequest) -> None:
    domain.reset()


_ACTIONS: Mapping[str, Callable[[Domain, PowerRequest], None]] = {
    "running": _run,
    "stopped": _stop,
    "paused": _pause,
    "rebooted": _reboot,
    "reset": _reset,
}
