# SPDX-License-Identifier: Apache-2.0
"""A tiny guest that writes to its memory and disk, and tells its own clock to this machine.

The guest's clock stands still while the guest does. So the difference between this machine's
clock and the guest's, which is constant while it runs, grows by exactly the time it stood still.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time

from websockets.sync.client import ClientConnection

#: What is typed into its shell. Memory is a file: the guest has no other filesystem. Its system is
#: in the first 64 MiB of its disk, which has 256.
_LOAD = r"""
tr '\0' x < /dev/zero | dd of=/run/ballast bs=1M count=$ballast_mib iflag=fullblock 2> /dev/null
dd if=/dev/urandom of=/run/known bs=1M count=8 2> /dev/null
dd if=/run/known of=/dev/sda bs=1M seek=240 conv=notrunc,fsync 2> /dev/null
memory() { while :; do dd if=/dev/urandom of=/run/load bs=64k count=64 conv=notrunc; done; }
disk() { while :; do dd if=/run/known of=/dev/sda bs=1M seek=128 conv=notrunc,fsync; done; }
ticks() { while :; do read up rest < /proc/uptime; echo $up; usleep 20000; done; }
memory 2> /dev/null & disk 2> /dev/null & ticks | nc $clock &
echo load-$((6 * 7))
"""
#: The sums of what lies in memory and of what lies on the disk.
_SUMS = r"""
echo 3 > /proc/sys/vm/drop_caches
sum() { sha256sum | cut -c 1-64; }
a=$(sum < /run/known); b=$(dd if=/dev/sda bs=1M skip=240 count=8 2> /dev/null | sum)
echo sums-$((6 * 7)) $a $b
"""


class GuestClock:
    """What the guest's clock said, and when it said so, of one guest at a time."""

    def __init__(self, address: str) -> None:
        self._listener = socket.create_server((address, 0))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        #: (this machine's clock, the guest's clock), in seconds.
        self.ticks: list[tuple[float, float]] = []
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """Where the guest tells its clock."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()

    def wait_for_tick(self, after: float, timeout_seconds: float = 90) -> None:
        """Wait until the guest is heard of after this moment.

        :raises TimeoutError: it was not
        """
        deadline = time.monotonic() + timeout_seconds
        while self.ticks[-1][0] <= after:
            if time.monotonic() > deadline:
                silent = time.monotonic() - self.ticks[-1][0]
                raise TimeoutError(f"nothing was heard of the guest for {silent:.0f} s")
            time.sleep(0.1)

    def stood_still(self, begun: float, ended: float, margin_seconds: float = 5) -> float:
        """Seconds that the guest stood still between two moments of this machine's clock.

        The least difference of some seconds before and after counts: ticks come late, never early.
        """
        before = [now - its for now, its in self.ticks if begun - margin_seconds < now < begun]
        after = [now - its for now, its in self.ticks if ended < now]
        return min(after) - min(before)

    def longest_silence(self, begun: float, ended: float) -> float:
        """The longest time between two ticks that arrived, as others on its network have it."""
        arrived = [now for now, _its in self.ticks if begun - 1 < now < ended + 1]
        return max(after - before for before, after in itertools.pairwise(arrived))

    def _listen(self) -> None:
        try:
            guest, _from = self._listener.accept()
        except OSError:
            return  # closed before a guest came
        with guest, guest.makefile() as lines:
            for line in lines:
                self.ticks.append((time.monotonic(), float(line)))


def begin_load(console: ClientConnection, clock: GuestClock, ballast_mib: int) -> None:
    """Type it into the guest's serial console."""
    address, port = clock.address
    variables = f"ballast_mib={ballast_mib} clock='{address} {port}'"
    _type(console, variables + _LOAD, "load-42")


def known_content_is_whole(console: ClientConnection) -> bool:
    """Whether what was written at first is in the guest's memory and on its disk as it was."""
    words = _type(console, _SUMS, "sums-42").split()
    return len(words) == 2 and words[0] == words[1] and len(words[0]) == 64


def _type(console: ClientConnection, script: str, answer: str) -> str:
    """The rest of the line that begins with the answer. The script fits into a terminal's 4 KiB."""
    console.send(script.encode())
    seen = ""
    while "\n" not in seen.partition(answer)[2]:
        frame = console.recv(timeout=180)
        seen += frame.decode(errors="replace") if isinstance(frame, bytes) else frame
    return seen.partition(answer)[2].splitlines()[0]
