# SPDX-License-Identifier: BSD-2-Clause
"""A libvirt domain, with typed calls."""

from __future__ import annotations

import contextlib
import time
from typing import Any, ContextManager, Dict, Mapping, Optional, Tuple

from .constants import DOMAIN_STATES
from .errors import Busy, CloudError, HypervisorError, Unsupported
from .libvirt_binding import flags, is_error, translated

_POLL_SECONDS = 0.2
# What statistics.py reads.
_FIGURES = ("STATE", "CPU_TOTAL", "BALLOON", "VCPU", "INTERFACE", "BLOCK")


def statistics_flags() -> Tuple[int, int]:
    """(groups of figures, how to ask) of libvirt's bulk statistics; nothing waits for a guest."""
    groups = flags(*(f"DOMAIN_STATS_{name}" for name in _FIGURES))
    return groups, flags("CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT")


class Domain:
    """A guest as libvirt has it."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.name = str(handle.name())
        self.id = str(handle.UUIDString())

    def state(self) -> str:
        """running, stopped, paused, stopping, crashed, suspended or unknown."""
        with translated(f"read guest {self.name}"):
            number = int(self._handle.state(0)[0])
        return DOMAIN_STATES[number] if number < len(DOMAIN_STATES) else "unknown"

    def is_active(self) -> bool:
        """Whether there is a process or its like behind it (running, paused, crashed…)."""
        with translated(f"read guest {self.name}"):
            return bool(self._handle.isActive())

    def is_persistent(self) -> bool:
        """Whether it still exists when it has stopped."""
        with translated(f"read guest {self.name}"):
            return bool(self._handle.isPersistent())

    def inactive_xml(self, secure: bool) -> str:
        """What the next start will use; ``secure``: with passwords (needs a writing connection)."""
        return self._xml("DOMAIN_XML_INACTIVE", secure)

    def active_xml(self, secure: bool) -> str:
        """What runs now; of a stopped guest the same as ``inactive_xml``."""
        return self._xml("", secure)

    def _xml(self, kind: str, secure: bool) -> str:
        wanted = [name for name in (kind, "DOMAIN_XML_SECURE" if secure else "") if name]
        with translated(f"read guest {self.name}"):
            return str(self._handle.XMLDesc(flags(*wanted)))

    def autostart(self) -> bool:
        """Whether libvirt starts it with the host."""
        with translated(f"read guest {self.name}"):
            return bool(self._handle.autostart())

    def set_autostart(self, wanted: bool) -> None:
        """Have libvirt start it with the host, or not."""
        with translated(f"set autostart of guest {self.name}"):
            self._handle.setAutostart(int(wanted))

    def start(self) -> None:
        """Start it."""
        with translated(f"start guest {self.name}"):
            self._handle.createWithFlags(0)

    def resume(self) -> None:
        """Let a paused one go on."""
        with translated(f"resume guest {self.name}"):
            self._handle.resume()

    def pause(self) -> None:
        """Freeze it where it is; it stays in memory."""
        with translated(f"pause guest {self.name}"):
            self._handle.suspend()

    def wake_up(self) -> None:
        """Wake one that has put itself to sleep."""
        with translated(f"wake guest {self.name}"):
            self._handle.pMWakeup(0)

    def shut_down(self) -> None:
        """Ask the guest to end: by its agent, or by the power button. Returns at once."""
        with translated(f"shut down guest {self.name}"):
            self._handle.shutdownFlags(0)

    def destroy(self) -> None:
        """End it at once, as pulling the plug does. One that has just ended is fine."""
        try:
            with translated(f"stop guest {self.name}"):
                self._handle.destroy()
        except HypervisorError as error:
            if not is_error(error, "OPERATION_INVALID") or self.is_active():
                raise

    def reset(self) -> None:
        """Press the reset button."""
        with translated(f"reset guest {self.name}"):
            self._handle.reset(0)

    def undefine(self) -> None:
        """Forget it, with saved state, snapshots' and checkpoints' metadata and NVRAM."""
        kinds = ("MANAGED_SAVE", "SNAPSHOTS_METADATA", "CHECKPOINTS_METADATA", "NVRAM")
        try:
            with translated(f"remove guest {self.name}"):
                self._handle.undefineFlags(flags(*(f"DOMAIN_UNDEFINE_{kind}" for kind in kinds)))
        except HypervisorError as error:
            # Drivers that know no NVRAM or checkpoints refuse the flags themselves.
            if not is_error(error, "INVALID_ARG"):
                raise
            with translated(f"remove guest {self.name}"):
                self._handle.undefineFlags(
                    flags("DOMAIN_UNDEFINE_MANAGED_SAVE", "DOMAIN_UNDEFINE_SNAPSHOTS_METADATA")
                )

    def rename(self, name: str) -> None:
        """Give a stopped guest another name; snapshots and saved state follow."""
        with translated(f"rename guest {self.name} to {name}"):
            self._handle.rename(name, 0)
        self.name = name

    def has_saved_state(self) -> bool:
        """Whether it was suspended to disk and would be restored, not booted, by a start."""
        with translated(f"read guest {self.name}"):
            return bool(self._handle.hasManagedSaveImage(0))

    def snapshot_count(self) -> int:
        """Number of libvirt snapshots; 0 where the driver has none."""
        try:
            with translated(f"count snapshots of guest {self.name}"):
                return int(self._handle.snapshotNum(0))
        except Unsupported:
            return 0

    def has_job(self) -> bool:
        """Whether libvirt is busy with it: saving, migrating, taking a snapshot."""
        with translated(f"read guest {self.name}"):
            return int(self._handle.jobInfo()[0]) != 0

    def go_on_in_overlays(self, xml: str, memory: bool) -> None:
        """Have the running guest write to the files of ``xml``, all disks at one moment.

        With ``memory`` its memory is saved first, and it runs on meanwhile.
        """
        kinds = ("NO_METADATA", "ATOMIC", "REUSE_EXT", "LIVE" if memory else "DISK_ONLY")
        wanted = flags(*(f"DOMAIN_SNAPSHOT_CREATE_{kind}" for kind in kinds))
        with translated(f"take a snapshot of guest {self.name}"):
            self._handle.snapshotCreateXML(xml, wanted)

    def start_block_pull(self, target: str, base: str) -> None:
        """Copy what lies above ``base`` (``""``: all) into the running guest's own layer."""
        with translated(f"merge layers of disk {target} of guest {self.name}"):
            if base:
                self._handle.blockRebase(target, base, 0, 0)
            else:
                self._handle.blockPull(target, 0, 0)

    def start_block_commit(self, target: str, base: str, top: str) -> None:
        """Write the running guest's layer ``top`` into the one below, ``base``."""
        with translated(f"merge layers of disk {target} of guest {self.name}"):
            self._handle.blockCommit(target, base, top, 0, 0)

    def block_job(self, target: str) -> Optional[Tuple[int, int]]:
        """(done, total) of what goes on with a disk's layers; None when nothing does."""
        with translated(f"read disk {target} of guest {self.name}"):
            found = self._handle.blockJobInfo(target, 0)
        return (int(found["cur"]), int(found["end"])) if found else None

    def migratable_xml(self) -> str:
        """What runs, as another host's libvirt takes it, with passwords."""
        return self._xml("DOMAIN_XML_MIGRATABLE", secure=True)

    def migrate(self, target_uri: str, parameters: Dict[str, Any], *kinds: str) -> None:
        """Move the running guest; returns when it runs there and is gone here, or raises."""
        with translated(f"migrate guest {self.name}"):
            names = (f"MIGRATE_{kind}" for kind in kinds)
            self._handle.migrateToURI3(target_uri, parameters, flags(*names))

    def job_percent(self) -> Optional[int]:
        """How far a migration or another long job of libvirt's is; None when there is none."""
        with translated(f"read the progress of guest {self.name}"):
            found = self._handle.jobStats(0)
            memory_bytes = int(self._handle.maxMemory()) * 1024
        return percent_done(found, memory_bytes) if found.get("type") else None

    def memory_passes(self) -> int:
        """How often a migration has been through the guest's memory."""
        with translated(f"read the progress of guest {self.name}"):
            return int(self._handle.jobStats(0).get("memory_iteration", 0))

    def allow_pause(self, milliseconds: int) -> None:
        """For how long the guest may stand still at the end of the migration that goes on."""
        with translated(f"let guest {self.name} stand still for longer"):
            self._handle.migrateSetMaxDowntime(milliseconds, 0)

    def wait_for_job(self, seconds: float) -> None:
        """Wait until a long job of libvirt's has ended.

        :raises Busy: it still goes on
        """
        deadline = time.monotonic() + seconds
        while self.is_active() and self.job_percent() is not None:
            if time.monotonic() >= deadline:
                raise Busy(f"libvirt is migrating guest {self.name} or the like: try again later")
            time.sleep(_POLL_SECONDS)

    def abort_job(self) -> None:
        """End a migration; the guest goes on here."""
        with translated(f"cancel the migration of guest {self.name}"):
            self._handle.abortJob()

    def set_live_metadata(self, xml: str, key: str, uri: str) -> None:
        """Replace our metadata of the running guest (the definition is written elsewhere)."""
        kind = flags("DOMAIN_METADATA_ELEMENT")
        with translated(f"write metadata of guest {self.name}"):
            self._handle.setMetadata(kind, xml, key, uri, flags("DOMAIN_AFFECT_LIVE"))

    def set_own_metadata(self, xml: Optional[str], key: str, uri: str) -> None:
        """Replace one namespace's element in the definition and in what runs; None removes it."""
        scope = "DOMAIN_AFFECT_CONFIG"
        scopes = [scope, "DOMAIN_AFFECT_LIVE"] if self.is_active() else [scope]
        kind = flags("DOMAIN_METADATA_ELEMENT")
        with translated(f"write metadata of guest {self.name}"):
            self._handle.setMetadata(kind, xml, key, uri, flags(*scopes))

    def attach_live(self, xml: str) -> None:
        """Plug a device into the running guest."""
        with translated(f"attach a device to guest {self.name}"):
            self._handle.attachDeviceFlags(xml, flags("DOMAIN_AFFECT_LIVE"))

    def detach_live(self, xml: str) -> None:
        """Take a device out of the running guest."""
        with translated(f"detach a device from guest {self.name}"):
            self._handle.detachDeviceFlags(xml, flags("DOMAIN_AFFECT_LIVE"))

    def update_live(self, xml: str) -> None:
        """Change a device of the running guest."""
        with translated(f"change a device of guest {self.name}"):
            self._handle.updateDeviceFlags(xml, flags("DOMAIN_AFFECT_LIVE"))

    def set_user_password(self, user: str, password: str, encrypted: bool) -> None:
        """Have the agent in the running guest set a user's password."""
        wanted = flags("DOMAIN_PASSWORD_ENCRYPTED") if encrypted else 0
        with translated(f"set the password of {user} in guest {self.name}"):
            self._handle.setUserPassword(user, password, wanted)

    def set_live_memory(self, memory_bytes: int) -> None:
        """Ask the running guest to do with so much of its memory; its balloon driver decides."""
        with translated(f"set the memory of guest {self.name}"):
            self._handle.setMemoryFlags(memory_bytes // 1024, flags("DOMAIN_AFFECT_LIVE"))

    def set_live_scheduling(self, parameters: Dict[str, int]) -> None:
        """Change the running guest's share of the processors."""
        with translated(f"set the processor priority of guest {self.name}"):
            self._handle.setSchedulerParametersFlags(parameters, flags("DOMAIN_AFFECT_LIVE"))

    def set_live_disk_limits(self, target: str, parameters: Dict[str, int]) -> None:
        """Limit a disk of the running guest."""
        with translated(f"limit disk {target} of guest {self.name}"):
            self._handle.setBlockIoTune(target, parameters, flags("DOMAIN_AFFECT_LIVE"))

    def set_live_network_limits(self, card: str, parameters: Dict[str, int]) -> None:
        """Limit a network card of the running guest; ``card`` is its MAC or its name."""
        with translated(f"limit network card {card} of guest {self.name}"):
            self._handle.setInterfaceParameters(card, parameters, flags("DOMAIN_AFFECT_LIVE"))

    def resize_disk(self, target: str, size_bytes: int) -> None:
        """Grow a disk of the running guest."""
        with translated(f"grow disk {target} of guest {self.name}"):
            self._handle.blockResize(target, size_bytes, flags("DOMAIN_BLOCK_RESIZE_BYTES"))

    def disk_sizes(self, target: str) -> Optional[Tuple[int, int]]:
        """(what the guest sees, what it takes) in bytes; None when libvirt cannot tell."""
        try:
            with translated(f"read disk {target} of guest {self.name}"):
                capacity, allocation, _physical = self._handle.blockInfo(target, 0)
        except (HypervisorError, Unsupported):
            return None  # A disk whose file is gone or remote has no size that we could report.
        return int(capacity), int(allocation)

    def statistics(self) -> Dict[str, Any]:
        """libvirt's own figures of this guest, as ``statistics.parse`` takes them."""
        with translated(f"read the figures of guest {self.name}"):
            connection = self._handle.connect()
            found = connection.domainListGetStats([self._handle], *statistics_flags())
        return dict(found[0][1]) if found else {}

    def leased_addresses(self) -> Dict[str, Any]:
        """What the DHCP servers of libvirt's own networks have given it, by card."""
        return self._addresses("LEASE")

    def agent_addresses(self, wait_seconds: int) -> Dict[str, Any]:
        """What its agent says, by card; writing connections only.

        libvirt would wait for an agent without end, and hold one of its few threads meanwhile; so
        it is told to wait less, and afterwards what is its default.
        """
        with contextlib.suppress(Unsupported), self._translated("set the patience with the agent"):
            self._handle.agentSetResponseTimeout(wait_seconds, 0)
        try:
            return self._addresses("AGENT")
        finally:
            with contextlib.suppress(CloudError), self._translated("reset the patience"):
                without_end = flags("DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK")
                self._handle.agentSetResponseTimeout(without_end, 0)

    def _addresses(self, source: str) -> Dict[str, Any]:
        with self._translated("ask for the addresses"):
            kind = flags(f"DOMAIN_INTERFACE_ADDRESSES_SRC_{source}")
            return dict(self._handle.interfaceAddresses(kind, 0) or {})

    def _translated(self, action: str) -> ContextManager[None]:
        return translated(f"{action} of guest {self.name}")


def percent_done(job_figures: Mapping[str, Any], memory_bytes: int) -> int:
    """How far a job is, of libvirt's own figures.

    By what is left: what has been sent is too much when a guest writes meanwhile, and too little
    when its pages are empty. While disks are copied libvirt does not count the memory, whose turn
    comes afterwards.
    """
    memory_total = int(job_figures.get("memory_total", 0))
    memory_left = int(job_figures.get("memory_remaining", 0)) if memory_total else memory_bytes
    total = int(job_figures.get("disk_total", 0)) + (memory_total or memory_bytes)
    left = int(job_figures.get("disk_remaining", 0)) + memory_left
    return max(0, total - left) * 100 // total if total else 0
