# SPDX-License-Identifier: BSD-2-Clause
"""A guest goes to another host: asked, checked, done beside us, waited for."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from typing import Any, Callable, Dict, Optional, Tuple

from .detached_run import DetachedRun, RunFailed, RunStatus
from .differences import Differences
from .errors import NotFound
from .guest_reader import VolumeCatalog, read_guest
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .migration_plan import MigrationPlan, check_hosts_differ, plan_migration
from .migration_run import MigrationRun, finish_interrupted
from .migration_spec import MigrateRequest
from .object_lock import object_lock


@dataclass(frozen=True)
class MigrationOutcome:
    """What was (in check mode: would be) different, how far it is, and the guest where it is."""

    differences: Differences
    migration: Dict[str, Any]
    guest: Optional[Dict[str, Any]]


def ensure_migrated(
    source: LibvirtHost, request: MigrateRequest, check_mode: bool
) -> MigrationOutcome:
    """Have the guest on the target.

    :raises NotFound: neither host has it.
    :raises CloudError: it cannot work, or it failed; the guest is where it was.
    """
    with LibvirtHost.open(request.target_uri) as target:
        check_hosts_differ(source, target, request)
        here = source.find_domain(request.id, request.name)
        there = target.find_domain(here.id if here else request.id, None if here else request.name)
        known = here or there
        if known is None:
            raise NotFound(
                f"guest {request.id or request.name} does not exist on {source.hostname()} nor on "
                f"{request.target}"
            )
        run = DetachedRun("migration", known.id)
        status = run.status()
        if status is not None and status.state == "running":
            return _wait(run, source, target, request, known.id)
        if not check_mode:
            if _ended_unheard(status, request, here, there):
                return _wait(run, source, target, request, known.id)
            here, there = _settle(source, target, request, known.id, status)
            run.forget()
        if here is None or (check_mode and there is not None):
            return MigrationOutcome(
                Differences({}, {}), _told(request, None, True, 100), _read(target, known.id)
            )
        plan = plan_migration(source, target, here, request)
        if check_mode:
            return MigrationOutcome(
                _moved(source, target), _told(request, plan, False, 0), _read(source, here.id)
            )
        facts = {"plan": asdict(plan), "target": request.target}
        run.start(_work(source.uri, request, plan), facts)
        return _wait(run, source, target, request, here.id)


def ensure_canceled(
    source: LibvirtHost, request: MigrateRequest, check_mode: bool
) -> MigrationOutcome:
    """End a migration that goes on; the guest stays on this host."""
    here = source.find_domain(request.id, request.name)
    run = DetachedRun("migration", here.id) if here else None
    status = run.status() if run else None
    if here is None or run is None or status is None or status.state != "running":
        guest = _read(source, here.id) if here else None
        return MigrationOutcome(Differences({}, {}), _told(request, None, False, 0), guest)
    differences = Differences({"migration": "running"}, {"migration": "canceled"})
    if not check_mode:
        if here.job_percent() is not None:
            here.abort_job()
        else:
            run.end()
        run.wait(request.lock_timeout_seconds)
        run.forget()
    return MigrationOutcome(differences, _told(request, None, False, 0), _read(source, here.id))


def _ended_unheard(
    status: Optional[RunStatus],
    request: MigrateRequest,
    here: Optional[Domain],
    there: Optional[Domain],
) -> bool:
    """Whether this very migration ended between two looks at it: how is still to be told."""
    if (
        status is None
        or not status.is_fresh
        or (status.facts or {}).get("target") != request.target
    ):
        return False
    if status.state == "failed":
        return here is not None and there is None
    return status.state == "done" and here is None and there is not None


def _settle(
    source: LibvirtHost,
    target: LibvirtHost,
    request: MigrateRequest,
    guest_id: str,
    status: Optional[RunStatus],
) -> Tuple[Optional[Domain], Optional[Domain]]:
    """Who has the guest, once what an earlier run left has been finished or undone."""
    here = source.find_domain(guest_id, None)
    if here is not None and here.is_active() and here.job_percent() is not None:
        # Our process may have been killed while libvirt went on.
        with contextlib.suppress(NotFound):
            here.wait_for_job(request.lock_timeout_seconds)
        here = source.find_domain(guest_id, None)
    there = target.find_domain(guest_id, None)
    if there is not None:
        here, there = finish_interrupted(source, target, guest_id, here, there)
    plan = _plan_of(status)
    if plan is not None:
        run = MigrationRun(source, target, request, plan, lambda _percent: None)
        if here is None:
            run.finish()
        elif there is None:
            run.undo()
    return here, there


def _work(
    uri: str, request: MigrateRequest, plan: MigrationPlan
) -> Callable[[Callable[[int], None]], None]:
    def work(report: Callable[[int], None]) -> None:
        # Connections of the process that forked us cannot be used here.
        with contextlib.ExitStack() as stack:
            stack.enter_context(object_lock("guest", plan.guest_id, request.lock_timeout_seconds))
            source = stack.enter_context(LibvirtHost.open(uri))
            target = stack.enter_context(LibvirtHost.open(request.target_uri))
            MigrationRun(source, target, request, plan, report).run()

    return work


def _wait(
    run: DetachedRun,
    source: LibvirtHost,
    target: LibvirtHost,
    request: MigrateRequest,
    guest_id: str,
) -> MigrationOutcome:
    status = run.wait(request.wait_seconds)
    plan = _plan_of(status)
    if status is None or status.state == "done":
        run.forget()
        return MigrationOutcome(
            _moved(source, target), _told(request, plan, True, 100), _read(target, guest_id)
        )
    if status.state != "running":
        if status.state == "failed":
            run.forget()  # What a killed one was about is for the next run to know.
        raise RunFailed(status)
    return MigrationOutcome(
        _moved(source, target), _told(request, plan, False, status.percent), None
    )


def _plan_of(status: Optional[RunStatus]) -> Optional[MigrationPlan]:
    found = (status.facts or {}).get("plan") if status else None
    if found is None:
        return None
    pairs = {name: tuple(tuple(each) for each in found[name]) for name in ("copied", "seeds")}
    return MigrationPlan(**{**found, **pairs})


def _moved(source: LibvirtHost, target: LibvirtHost) -> Differences:
    return Differences({"host": source.hostname()}, {"host": target.hostname()})


def _told(
    request: MigrateRequest, plan: Optional[MigrationPlan], ready: bool, percent: int
) -> Dict[str, Any]:
    return {
        "ready": ready,
        "percent": percent,
        "target": request.target,
        "mode": plan.mode if plan else None,
        "storage": plan.storage if plan else None,
    }


def _read(host: LibvirtHost, guest_id: str) -> Optional[Dict[str, Any]]:
    domain = host.find_domain(guest_id, None)
    return None if domain is None else read_guest(domain, VolumeCatalog(host))
