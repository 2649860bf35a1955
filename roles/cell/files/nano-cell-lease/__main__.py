# SPDX-License-Identifier: Apache-2.0
"""Keeps this cell's lease on shared storage. Without the lease nothing here writes to that storage.

``run`` is the service nano-cell-lease: it renews the lease, ends whatever writes to the storage
when the lease is over, keeps copies of the guests' definitions beside their disks, and starts
guests once the lease is there. ``may-start`` is asked by libvirt's hook before a guest starts.
docs/adr/0022-failover.md says why it is safe. Standard library only.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from copies import Copies
from lease import Configuration, Keeper, Lease, say, uses_pool

_RENEW_SECONDS = 2.0
_ENFORCE_SECONDS = 0.5
#: Rounds without the storage until libvirt is asked for it; somebody may be detaching it.
_UNMOUNTED_ROUNDS = 5


def start_guests(lease: Lease) -> None:
    """Start what waited for the lease: what libvirt was refused, or what was ended without it.

    At the host's start libvirt tries the guests with automatic start, and libvirt-guests those that
    ran before; both are refused, and so remembered.
    """
    wanted = lease.take_marks()
    (lease.directory / "started").touch()
    if not wanted:
        return
    stopped = set(_virsh("list", "--inactive", "--uuid").split())
    for guest_id in dict.fromkeys(wanted):
        if guest_id in stopped and lease.held:
            say(f"starting guest {guest_id}")
            _virsh("start", guest_id)


def _virsh(*arguments: str) -> str:
    done = subprocess.run(
        ["virsh", "-q", "-c", "qemu:///system", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode and arguments[0] != "pool-start":
        say(f"virsh {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Service:
    """The threads. What may hang on the storage never holds up the one that enforces."""

    def __init__(self) -> None:
        self._lease = Lease()
        self._stopping = threading.Event()
        self._keeper: Keeper | None = None
        self._copies: Copies | None = None
        self._unmounted_rounds = 0

    def run(self) -> None:
        """Until SIGTERM."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        self._configure()
        for work, seconds in (
            (self._renew, _RENEW_SECONDS),
            (self._copy, _RENEW_SECONDS),
            (self._start_guests, 1.0),
        ):
            threading.Thread(
                target=self._again_and_again, args=(work, seconds), daemon=True
            ).start()
        notify("READY=1")
        while not self._stopping.wait(_ENFORCE_SECONDS):
            self._configure()
            if self._keeper is not None:
                self._keeper.enforce()
            notify("WATCHDOG=1")
        self._leave()

    def _configure(self) -> None:
        found = Configuration.read()
        if found == (self._keeper.configuration if self._keeper else None):
            return
        self._keeper = Keeper(found, self._lease) if found else None
        self._copies = Copies(found) if found else None
        say(f"lease of {found.cell} on {found.path}" if found else "no pool with failover")

    def _renew(self) -> None:
        keeper = self._keeper
        if keeper is None:
            return
        mounted = os.path.ismount(keeper.configuration.path)
        self._unmounted_rounds = 0 if mounted else self._unmounted_rounds + 1
        if self._unmounted_rounds >= _UNMOUNTED_ROUNDS:
            # libvirt tries once, at its start; the storage may have been away then.
            _virsh("pool-start", keeper.configuration.pool)
        keeper.renew()

    def _copy(self) -> None:
        if self._copies is not None and self._lease.held:
            self._copies.update()

    def _start_guests(self) -> None:
        if self._keeper is not None and self._lease.held:
            start_guests(self._lease)

    def _again_and_again(self, work: Callable[[], None], seconds: float) -> None:
        complaint = ""
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                work()
                complaint = ""
            except (OSError, subprocess.SubprocessError) as error:
                if str(error) != complaint:
                    complaint = str(error)
                    say(f"{work.__name__}: {complaint}")
            self._stopping.wait(max(0.1, seconds - (time.monotonic() - begun)))

    def _leave(self) -> None:
        keeper = self._keeper
        if keeper is None:
            return
        leaving = threading.Thread(target=keeper.leave, daemon=True)
        leaving.start()
        leaving.join(timeout=5)  # a storage that hangs must not hold up the host's shutdown


def may_start(xml: str, lease: Lease | None = None) -> bool:
    """Whether libvirt may start this domain now."""
    configuration = Configuration.read()
    guest_id = uses_pool(xml, configuration) if configuration else None
    if guest_id is None:
        return True
    lease = lease or Lease()
    if lease.held:
        return True
    if not lease.started:
        lease.mark("refused", guest_id)
    say("this cell has no lease on the guest's storage now: see the unit nano-cell-lease")
    return False


def notify(text: str) -> None:
    """Tell systemd, if it is there."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd:
            to_systemd.sendto(text.encode(), address.replace("@", "\0", 1))


def main() -> int:
    """``run`` or ``may-start``."""
    if sys.argv[1:] == ["run"]:
        Service().run()
        return 0
    if sys.argv[1:] == ["may-start"]:
        return 0 if may_start(sys.stdin.read()) else 1
    say("usage: nano-cell-lease run | may-start")
    return 2


if __name__ == "__main__":
    sys.exit(main())
