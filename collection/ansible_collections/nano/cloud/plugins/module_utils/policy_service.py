# SPDX-License-Identifier: BSD-2-Clause
"""A security policy as it should be: defined, replaced in one step, or removed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional

from . import domain_xml, filter_xml
from .differences import Differences
from .errors import Conflict
from .filter_guard import ensure_guard
from .libvirt_host import LibvirtHost
from .names import filter_name
from .object_lock import object_lock
from .policy_spec import PolicyRequest, policy_values

_MOST_NAMED = 5


@dataclass(frozen=True)
class PolicyOutcome:
    """What was (in check mode: would be) different, the policy, and the guests that have it."""

    differences: Differences
    policy: Optional[Dict[str, Any]]
    guests: List[str]


def ensure_policy_present(
    host: LibvirtHost, request: PolicyRequest, check_mode: bool, lock_timeout_seconds: float
) -> PolicyOutcome:
    """Define the policy, or replace its rules while guests run under it."""
    with _locked(request.name, check_mode, lock_timeout_seconds):
        found_filter = host.find_filter(filter_name(request.name))
        xml = found_filter.xml() if found_filter else ""
        found = filter_xml.parse(xml, request.name) if xml else None
        wanted = request.applied_to(found)
        before = policy_values(found) if found else {}
        after = policy_values(wanted)
        differences = Differences(before, after)
        if not check_mode and host.is_local_hypervisor:
            ensure_guard()
        if not check_mode and differences.changed:
            host.define_filter(filter_xml.build(wanted, filter_xml.uuid_of(xml) if xml else None))
        shown = before if check_mode else after
        return PolicyOutcome(differences, shown or None, guests_with(host, request.name))


def ensure_policy_absent(
    host: LibvirtHost, request: PolicyRequest, check_mode: bool, lock_timeout_seconds: float
) -> PolicyOutcome:
    """Remove the policy.

    :raises Conflict: guests have it; names them.
    """
    with _locked(request.name, check_mode, lock_timeout_seconds):
        found = host.find_filter(filter_name(request.name))
        if found is None:
            return PolicyOutcome(Differences({}, {}), None, [])
        guests = guests_with(host, request.name)
        if guests:
            more = ", …" if len(guests) > _MOST_NAMED else ""
            raise Conflict(
                f"security policy {request.name} is in use by {', '.join(guests[:_MOST_NAMED])}"
                f"{more}: give those guests another one first",
                policy=request.name,
                guests=guests,
            )
        before = policy_values(filter_xml.parse(found.xml(), request.name))
        if not check_mode:
            found.undefine()
        return PolicyOutcome(Differences(before, {}), None, [])


def guests_with(host: LibvirtHost, policy: str) -> List[str]:
    """Names of the guests that have a policy, running or not."""
    wanted = filter_name(policy)
    return sorted(
        domain.name
        for domain in host.domains()
        if wanted in domain_xml.filters(domain.inactive_xml(secure=False))
        or (domain.is_active() and wanted in domain_xml.filters(domain.active_xml(secure=False)))
    )


@contextlib.contextmanager
def _locked(name: str, check_mode: bool, timeout_seconds: float) -> Iterator[None]:
    if check_mode:
        yield
        return
    with object_lock("policy", name, timeout_seconds):
        yield
