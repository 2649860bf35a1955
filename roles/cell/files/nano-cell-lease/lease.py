# SPDX-License-Identifier: Apache-2.0
"""The lease: a cell's own record of it, its beat on the shared storage, and the end of both."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

CONFIGURATION = Path("/etc/nano-cloud/lease.json")
RUN_DIRECTORY = Path("/run/nano-cloud-lease")
#: Below the shared storage's directory.
LEASES = ".nano-cloud/leases"

_BLOCK_BYTES = 512
#: Looks without a writer, one each half second, until "stopped" is said: a guest whose start
#: was under way when the lease ended opens its disks within that time.
_CLEAN_LOOKS = 4
#: They open volumes for a moment, or are the storage itself; ending them would end more.
_SPARED = frozenset(
    {"libvirtd", "virtqemud", "virtstoraged", "virtlogd", "virtlockd", "glusterfs", "glusterfsd"}
)


class Configuration(NamedTuple):
    """What the module cell_lease wrote."""

    cell: str
    pool: str
    path: str
    lease_seconds: float

    @classmethod
    def read(cls, file: Path = CONFIGURATION) -> Configuration | None:
        """None while this cell takes no part in failover."""
        try:
            found = json.loads(file.read_text())
        except FileNotFoundError:
            return None
        return cls(found["cell"], found["pool"], found["path"], float(found["lease_seconds"]))


def clock() -> float:
    """Seconds since the host's start, those that it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def read_block(path: Path) -> dict[str, Any]:
    """A small JSON object; ``{}`` when there is none, or it is being written this moment."""
    try:
        return dict(json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError):
        return {}


def write_block(path: Path, values: dict[str, Any]) -> None:
    """Write in place, so that no host looks at an older file of that name, and to the disk."""
    data = json.dumps(values).encode().ljust(_BLOCK_BYTES)
    handle = os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(handle, data, 0)
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, data: bytes) -> None:
    """Make a file anew in one step."""
    draft = path.with_name(f".{path.name}.new")
    handle = os.open(str(draft), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(str(draft), str(path))


def check_mounted(path: str) -> None:
    """:raises OSError: it is not, and what is written there would stay on this host, unseen"""
    if not os.path.ismount(path):
        raise OSError(f"nothing is mounted at {path}")


def writers(path: str) -> list[int]:
    """Processes that have a file below ``path`` open for writing, the lease's own apart.

    Only /proc is read: a storage that hangs does not hang this.
    """
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and _writes_below(Path("/proc", name), path):
            found.append(int(name))
    return found


def _writes_below(process: Path, path: str) -> bool:
    inside, own = f"{path}/", f"{path}/.nano-cloud/"
    with suppress(OSError):  # it ended while we looked
        if (process / "comm").read_text().strip() in _SPARED:
            return False
        for number in os.listdir(str(process / "fd")):
            target = os.readlink(str(process / "fd" / number))
            if target.startswith(inside) and not target.startswith(own):
                flags = (process / "fdinfo" / number).read_text().split("flags:")[1].split()[0]
                if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY:
                    return True
    return False


def guest_of(pid: int) -> str | None:
    """The id of the guest that a QEMU process is."""
    with suppress(OSError, ValueError, IndexError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return words[words.index(b"-uuid") + 1].decode()
    return None


def uses_pool(xml: str, configuration: Configuration) -> str | None:
    """The id of a domain that has a disk on the shared storage; None of any other."""
    root = ElementTree.fromstring(xml)
    inside = f"{configuration.path}/"
    for disk in root.findall("./devices/disk"):
        source = disk.find("source")
        if source is None or disk.get("device", "disk") != "disk":
            continue
        file = source.get("file") or source.get("dev") or ""
        if source.get("pool") == configuration.pool or file.startswith(inside):
            return root.findtext("uuid")
    return None


class Lease:
    """Until when guests may run here. What counts stands in /run, for the hook and a restart."""

    def __init__(self, directory: Path = RUN_DIRECTORY) -> None:
        self.directory = directory
        self._file = directory / "lease.json"
        directory.mkdir(mode=0o700, exist_ok=True)
        for name in ("refused", "ended"):
            (directory / name).mkdir(mode=0o700, exist_ok=True)

    @property
    def until(self) -> float:
        """On ``clock``; 0 when there is none."""
        return float(read_block(self._file).get("until", 0))

    @property
    def held(self) -> bool:
        """Whether guests may run here now."""
        return clock() < self.until

    def set(self, until: float) -> None:
        """Written before anybody acts on it."""
        replace_file(self._file, json.dumps({"until": until}).encode())

    @property
    def started(self) -> bool:
        """Whether there was a lease since the host's start: what is refused later is told."""
        return (self.directory / "started").exists()

    def mark(self, kind: str, guest_id: str) -> None:
        """Remember a guest that is to be started when the lease is there (again)."""
        (self.directory / kind / guest_id).touch()

    def take_marks(self) -> list[str]:
        """The remembered guests; forgotten with this call."""
        found = []
        for kind in ("refused", "ended"):
            for file in sorted((self.directory / kind).iterdir()):
                found.append(file.name)
                file.unlink()
        return found


class Keeper:
    """Renews one cell's lease and enforces its end."""

    def __init__(self, configuration: Configuration, lease: Lease) -> None:
        self.configuration = configuration
        self.lease = lease
        self._leases = Path(configuration.path, LEASES)
        self._beat_file = self._leases / f"{configuration.cell}.beat"
        self._boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip() + str(os.getpid())
        self._counter = 0
        self._clean_looks = 0
        self._peers: dict[str, dict[str, Any]] = read_block(lease.directory / "peers.json")

    def renew(self) -> None:
        """One round. Raises OSError when the storage cannot be written or read.

        The beat is written before the grant is read: whoever takes the grant back and sees no
        newer beat afterwards knows that no later round has read the grant as given.
        """
        begun = clock()
        check_mounted(self.configuration.path)
        self._leases.mkdir(parents=True, exist_ok=True, mode=0o700)
        grant = read_block(self._leases / f"{self.configuration.cell}.grant")
        self._beat("running" if grant.get("granted") else self._state(), grant.get("epoch", 0))
        grant = read_block(self._leases / f"{self.configuration.cell}.grant")
        if grant.get("granted") is True:
            self._clean_looks = 0
            self.lease.set(begun + self.configuration.lease_seconds)
        elif grant:
            self.lease.set(0)
        self._look_at_peers()

    def _state(self) -> str:
        return "stopped" if self._clean_looks >= _CLEAN_LOOKS else "stopping"

    def _beat(self, state: str, epoch: int) -> None:
        self._counter += 1
        beat = {
            "boot": self._boot,
            "counter": self._counter,
            "state": state,
            "epoch": epoch,
            "lease_seconds": self.configuration.lease_seconds,
        }
        write_block(self._beat_file, beat)

    def _look_at_peers(self) -> None:
        """Remember since when each other cell's beat is the one it is now."""
        for file in self._leases.glob("*.beat"):
            beat = read_block(file)
            now = [beat.get("boot"), beat.get("counter")]
            if beat and self._peers.get(file.stem, {}).get("beat") != now:
                self._peers[file.stem] = {"beat": now, "since": clock()}
        replace_file(self.lease.directory / "peers.json", json.dumps(self._peers).encode())

    def enforce(self) -> None:
        """End what writes to the storage while there is no lease."""
        if self.lease.held:
            return
        found = writers(self.configuration.path)
        for pid in found:
            guest_id = guest_of(pid)
            if guest_id is not None:
                self.lease.mark("ended", guest_id)
            say(f"no lease: ending process {pid} ({guest_id or 'no guest'})")
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._clean_looks = 0 if found else self._clean_looks + 1

    def leave(self) -> None:
        """The service ends. Nobody may count on the lease's end while guests run unwatched."""
        unused = not writers(self.configuration.path)
        if unused:
            self.lease.set(0)
        if os.path.ismount(self.configuration.path):
            self._beat("stopped" if unused else "off", 0)


def say(text: str) -> None:
    """For the journal, or for libvirt's error message."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
