# SPDX-License-Identifier: BSD-2-Clause
"""The migration itself, live or cold, and what an interrupted one leaves."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import replace
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from . import domain_xml, filter_xml, names, pool_xml, volume_xml
from .constants import MIB
from .errors import CloudError, Conflict, NotFound
from .guest_files import possible_paths, remove_files, remove_files_there, send_files, state_paths
from .guest_volumes import delete_volume
from .libvirt_domain import Domain
from .libvirt_host import LibvirtHost
from .libvirt_storage import Pool, Volume
from .migration_plan import MigrationPlan
from .migration_spec import MigrateRequest
from .volume_transfer import transfer_volume

_PROGRESS_SECONDS = 0.5
_DELETE_WAIT_SECONDS = 30.0
_PASSES_WITH_SHORT_PAUSE = 3
#: The major version of libvirt that brought them.
_SYNCHRONOUS_WRITES_SINCE = 8


class MigrationRun:
    """One guest's way. ``report`` hears the percentage."""

    def __init__(
        self,
        source: LibvirtHost,
        target: LibvirtHost,
        request: MigrateRequest,
        plan: MigrationPlan,
        report: Callable[[int], None],
    ) -> None:
        self._source = source
        self._target = target
        self._request = request
        self._plan = plan
        self._report = report

    def run(self) -> None:
        """Move it, or leave it where it was and nothing on the target.

        :raises CloudError: it failed
        """
        domain = self._domain_here()
        try:
            self._send_filter(domain)
            for pool_name, volume_name in self._plan.seeds:
                self._remove_there(pool_name, volume_name)
                self._transfer(pool_name, volume_name, lambda _size: None)
            if self._plan.live:
                self._move_running(domain)
            else:
                self._move_stopped(domain)
        except BaseException:
            if self._target.find_domain(self._plan.guest_id, None) is None:
                self.undo()
            raise
        self.finish()

    def finish(self) -> None:
        """The guest has arrived: what only moves with our help, and what stayed behind."""
        there = self._target_domain()
        there.set_autostart(self._plan.auto_start)
        self._show_volumes(there)
        self._clean_source()

    def _show_volumes(self, domain: Domain) -> None:
        """Of a pool that it shares, the target's libvirt knows what was in it at its last look."""
        spec = domain_xml.parse(domain.inactive_xml(secure=False))
        for name in dict.fromkeys(disk.pool for disk in spec.disks if disk.volume):
            pool = self._target.find_pool(name)
            if pool is not None and pool.is_active() and pool_xml.is_shared(pool.xml()):
                pool.refresh()

    def _domain_here(self) -> Domain:
        domain = self._source.find_domain(self._plan.guest_id, None)
        if domain is None or domain.is_active() != self._plan.live:
            state = "gone" if domain is None else domain.state()
            raise Conflict(f"guest {self._plan.name} is {state} now: try again")
        return domain

    def _target_domain(self) -> Domain:
        found = self._target.find_domain(self._plan.guest_id, None)
        if found is None:
            raise NotFound(f"guest {self._plan.name} is not on {self._request.target} afterwards")
        return found

    # --- live

    def _move_running(self, domain: Domain) -> None:
        send_files(self._request.target, _waiting_files(domain))
        kinds = ["LIVE", "PEER2PEER", "PERSIST_DEST", "UNDEFINE_SOURCE"]
        emulated = domain_xml.parse(domain.active_xml(secure=False)).domain_type == "qemu"
        if not emulated:
            kinds.append("AUTO_CONVERGE")
        parameters: Dict[str, Any] = {"migrate_uri": self._request.migration_uri}
        if self._plan.copied:
            kinds.append("NON_SHARED_DISK")
            if all(_can_copy_in_step(host) for host in (self._source, self._target)):
                kinds.append("NON_SHARED_SYNCHRONOUS_WRITES")
            parameters["disks_uri"] = self._request.migration_uri
            parameters["migrate_disks"] = [device for _pool, _name, device in self._plan.copied]
        if self._request.bandwidth_bytes_sec:
            parameters["bandwidth"] = max(1, self._request.bandwidth_bytes_sec // MIB)
        if self._plan.display_port:
            parameters["destination_xml"] = self._with_port(domain.migratable_xml())
            parameters["persistent_xml"] = self._with_port(domain.inactive_xml(secure=True))
        with self._progress_of(domain, may_pause_longer=emulated):
            domain.migrate(self._request.target_uri, parameters, *kinds)

    @contextlib.contextmanager
    def _progress_of(self, domain: Domain, may_pause_longer: bool) -> Iterator[None]:
        """Report, and see to it that it ends.

        A guest that writes faster than the network carries is slowed down by QEMU. One that QEMU
        emulates is not: with QEMU 7.2 two of six such migrations lost some of its memory, which
        crashed, and none of seven without. It may stand still for longer at the end instead.
        """
        ended = threading.Event()

        def watch() -> None:
            # A connection of its own: the other one waits for the migration to end.
            with LibvirtHost.open(self._source.uri, read_only=not may_pause_longer) as host:
                while not ended.wait(_PROGRESS_SECONDS):
                    watched = host.find_domain(domain.id, None)
                    percent = watched.job_percent() if watched and watched.is_active() else None
                    if watched is None or percent is None:
                        continue
                    self._report(percent)
                    passes = watched.memory_passes() if may_pause_longer else 0
                    if passes > _PASSES_WITH_SHORT_PAUSE:
                        watched.allow_pause(_pause_milliseconds(passes))

        thread = threading.Thread(target=_quietly(watch), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _with_port(self, xml: str) -> str:
        spec = domain_xml.parse(xml)
        if spec.display is None:
            return xml
        display = replace(spec.display, port=self._plan.display_port)
        return domain_xml.edit(xml, replace(spec, display=display))

    # --- cold

    def _move_stopped(self, domain: Domain) -> None:
        """Defined there as incomplete, so that nobody starts two; then gone here; then complete."""
        nvram = domain_xml.nvram_path(domain.inactive_xml(secure=False))
        paths = [*state_paths(domain.id), *([nvram] if nvram and os.path.exists(nvram) else [])]
        send_files(self._request.target, list(dict.fromkeys(paths)))
        self._transfer_all()
        xml = self._with_port(domain.inactive_xml(secure=True))
        spec = domain_xml.parse(xml)
        there = self._target.define_domain(domain_xml.edit(xml, replace(spec, incomplete=True)))
        try:
            domain.undefine()
        except BaseException:
            there.undefine()
            raise
        complete_domain(self._target, there)

    def _transfer_all(self) -> None:
        volumes = [self._volume(pool, name) for pool, name, _device in self._plan.copied]
        total, done = sum(volume.sizes()[0] for volume in volumes), 0

        def moved(size: int) -> None:
            nonlocal done
            done += size
            self._report(done * 100 // max(total, 1))

        for (pool, name, _device), volume in zip(self._plan.copied, volumes):
            backing = volume_xml.parse(volume.xml()).backing_path
            if not backing or self._target.place_of(backing):
                self._transfer(pool, name, moved)
            else:
                self._transfer_flattened(pool, name, volume, moved)

    def _transfer(self, pool: str, name: str, moved: Callable[[int], None]) -> None:
        there = self._pool(self._target, pool)
        transfer_volume(self._source, self._volume(pool, name), self._target, there, name, moved)

    def _transfer_flattened(
        self, pool: str, name: str, volume: Volume, moved: Callable[[int], None]
    ) -> None:
        """The target has not the image beneath: a copy that stands alone goes."""
        here, there = self._pool(self._source, pool), self._pool(self._target, pool)
        size = volume_xml.parse(volume.xml()).size_bytes
        whole_name = names.transfer_volume_name(self._plan.guest_id)
        left = here.find_volume(whole_name)
        if left is not None:
            delete_volume(left, _DELETE_WAIT_SECONDS)
        whole = here.copy_volume(volume_xml.build(volume_xml.VolumeSpec(whole_name, size)), volume)
        try:
            transfer_volume(self._source, whole, self._target, there, name, moved)
        finally:
            delete_volume(whole, _DELETE_WAIT_SECONDS)

    def _send_filter(self, domain: Domain) -> None:
        """The guest's security policy goes with it, unless the target has one of that name.

        One that is named for the guest is its own: the target's is old, and replaced.
        """
        for name in domain_xml.filters(domain.inactive_xml(secure=False)):
            found, there = self._source.find_filter(name), self._target.find_filter(name)
            if found is None or (there is not None and name != self._own_filter):
                continue
            uuid = filter_xml.uuid_of(there.xml()) if there else ""
            self._target.define_filter(filter_xml.with_uuid(found.xml(), uuid))

    @property
    def _own_filter(self) -> str:
        return names.filter_name(self._plan.guest_id)

    # --- afterwards

    def undo(self) -> None:
        """Nothing of the guest stays on the target; the plan made sure that nothing was there."""
        if "+ssh" in self._request.target_uri:
            remove_files_there(self._request.target, possible_paths(self._plan.guest_id))
        places = [(pool, name) for pool, name, _device in self._plan.copied]
        for pool_name, name in [*places, *self._plan.seeds]:
            self._remove_there(pool_name, name)

    def _remove_there(self, pool_name: str, name: str) -> None:
        pool = self._target.find_pool(pool_name)
        if pool is not None and pool.is_active():
            pool.refresh()
            volume = pool.find_volume(name)
            if volume is not None:
                delete_volume(volume, _DELETE_WAIT_SECONDS)

    def _clean_source(self) -> None:
        gone = [(pool, name) for pool, name, _device in self._plan.copied] + [*self._plan.seeds]
        for pool_name, name in gone:
            pool = self._source.find_pool(pool_name)
            volume = pool.find_volume(name) if pool else None
            if volume is not None:
                delete_volume(volume, _DELETE_WAIT_SECONDS)
        remove_files(self._plan.guest_id)
        own = self._source.find_filter(self._own_filter)
        if own is not None:
            own.undefine()

    def _pool(self, host: LibvirtHost, name: str) -> Pool:
        pool = host.find_pool(name)
        if pool is None:
            raise NotFound(f"storage pool {name} does not exist on {host.hostname()}", pool=name)
        return pool

    def _volume(self, pool: str, name: str) -> Volume:
        volume = self._pool(self._source, pool).find_volume(name)
        if volume is None:
            raise NotFound(f"volume {name} does not exist in pool {pool}", volume=name)
        return volume


def _pause_milliseconds(memory_passes: int) -> int:
    """QEMU's own 300 for the first passes, then twice as long with each, up to ten seconds."""
    return min(10_000, 300 << min(6, max(0, memory_passes - _PASSES_WITH_SHORT_PAUSE)))


def _can_copy_in_step(host: LibvirtHost) -> bool:
    """Whether what a guest writes during the copy can go to both disks before its write ends.

    Otherwise a guest that writes faster than the network carries is copied for ever.
    """
    major, _minor, _release = host.versions()[0].split(".")
    return int(major) >= _SYNCHRONOUS_WRITES_SINCE


def _waiting_files(domain: Domain) -> List[str]:
    """Of a running guest's files those that it does not use now: QEMU itself takes the others."""
    xml = domain.active_xml(secure=False)
    used = [domain_xml.nvram_path(xml)]
    if domain_xml.parse(xml).tpm:
        used.append(names.tpm_state_path(domain.id))
    return [path for path in state_paths(domain.id) if path not in used]


def finish_interrupted(
    source: LibvirtHost,
    target: LibvirtHost,
    guest_id: str,
    here: Optional[Domain],
    there: Domain,
) -> Tuple[Optional[Domain], Optional[Domain]]:
    """Both hosts know the guest, or only the target does: settle who has it.

    Returns (the guest here, the guest there); one of them is None.

    :raises Conflict: both have it, and neither is half made: a person must decide
    """
    half_made = domain_xml.parse(there.inactive_xml(secure=False)).incomplete
    if here is None:
        if half_made:
            complete_domain(target, there)
        return None, target.find_domain(guest_id, None)
    if not half_made:
        raise Conflict(
            f"guest {here.name} is on {source.hostname()} ({here.state()}) and on "
            f"{target.hostname()} ({there.state()}): remove the wrong one",
            guest=here.name,
        )
    there.undefine()  # It was defined there, and never gone here.
    return here, None


def complete_domain(host: LibvirtHost, domain: Domain) -> None:
    """Take the mark off that keeps a half-moved guest from being started."""
    xml = domain.inactive_xml(secure=True)
    host.define_domain(domain_xml.edit(xml, replace(domain_xml.parse(xml), incomplete=False)))


def _quietly(watch: Callable[[], None]) -> Callable[[], None]:
    """Progress is a courtesy: when it cannot be read, the migration still goes on."""

    def guarded() -> None:
        with contextlib.suppress(CloudError):
            watch()

    return guarded
