# SPDX-License-Identifier: BSD-2-Clause
"""A user's password inside a running guest, set by QEMU's agent there. Nothing is read back."""

from __future__ import annotations

import contextlib
import time

from . import domain_xml
from .differences import Differences
from .errors import Conflict, HypervisorError, NotFound, Unreachable, Unsupported
from .guest_auth_spec import AuthRequest
from .libvirt_binding import is_error
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .object_lock import object_lock

_POLL_SECONDS = 0.5


def set_password(
    host: LibvirtHost, request: AuthRequest, check_mode: bool, lock_timeout_seconds: float
) -> Differences:
    """Set it. Nobody can tell whether it was the same before: it always counts as a change.

    :raises NotFound: there is no such guest.
    :raises Conflict: it does not run, or refuses.
    :raises Unsupported: it has no channel to an agent.
    :raises Unreachable: its agent does not answer.
    """
    domain = _find(host, request)
    with contextlib.ExitStack() as locks:
        if not check_mode:
            locks.enter_context(object_lock("guest", domain.id, lock_timeout_seconds))
        _check_agent(domain, request)
        if not check_mode:
            _set(domain, request)
    before = {"user": request.user, "password": "(not known)"}
    return Differences(before, {**before, "password": "(hidden, set)"})


def _find(host: LibvirtHost, request: AuthRequest) -> Domain:
    domain = host.find_domain(request.id, request.name)
    if domain is None:
        raise NotFound(f"guest {request.id or request.name} does not exist on this host")
    return domain


def _check_agent(domain: Domain, request: AuthRequest) -> None:
    state = domain.state()
    if state != "running":
        raise Conflict(
            f"guest {domain.name} is {state}: a password is set by the agent in a running guest; "
            "start it first",
            guest=domain.name,
        )
    deadline = time.monotonic() + request.timeout_seconds
    while True:
        connected = domain_xml.agent_connected(domain.active_xml(secure=False))
        if connected:
            return
        if connected is None:
            raise Unsupported(
                f"guest {domain.name} has no channel to a guest agent: set agent to true, and "
                "install qemu-guest-agent in the guest",
                guest=domain.name,
            )
        if time.monotonic() >= deadline:
            raise Unreachable(
                f"no agent answers in guest {domain.name}: it may still be booting; otherwise "
                "install and start qemu-guest-agent in it",
                guest=domain.name,
            )
        time.sleep(_POLL_SECONDS)


def _set(domain: Domain, request: AuthRequest) -> None:
    try:
        domain.set_user_password(request.user, request.password, request.encrypted)
    except HypervisorError as error:
        if is_error(error, "AGENT_UNRESPONSIVE", "AGENT_UNSYNCED"):
            raise Unreachable(
                f"the agent in guest {domain.name} does not answer: {error.message}",
                guest=domain.name,
            ) from error
        # The agent only tells that its child failed.
        raise Conflict(
            f"{error.message}; is {request.user} a user of guest {domain.name}, and do its rules "
            "allow this password?",
            guest=domain.name,
            user=request.user,
        ) from error
