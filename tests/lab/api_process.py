# SPDX-License-Identifier: Apache-2.0
"""The API as a process of its own, beside the lab: started, killed and stopped by its id.

Standard library only: `make down` runs it without the project's Python packages.
"""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.lab.commands import process_arguments, process_ids, run
from tests.lab.identity import CHECKOUT

NANOCTL = CHECKOUT / ".venv" / "bin" / "nanoctl"


class ApiProcess:
    """`nanoctl serve` with its data, log and process id below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pid_file = folder / "api.pid"

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "api"

    @property
    def pid(self) -> int | None:
        """The id of the running process; None when it does not run."""
        try:
            pid = int(self._pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        ours = b"nanoctl" in command and str(self.data).encode() in command
        return pid if ours else None

    def start(self, inventory: Path, port: int, addresses: list[str]) -> None:
        """Start it, unless it runs. It goes on when this process ends."""
        if self.pid is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [str(NANOCTL), "serve", "--data", str(self.data)]
        command += ["--inventory", str(inventory), "--port", str(port)]
        for address in addresses:
            command += ["--bind", address]
        with open(self.folder / "api.out", "ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                # The cells of a lab share this machine's processors with everything on it.
                env={**os.environ, "NANO_BUSY_CPU_PERCENT": "100"},
            )
        self._pid_file.write_text(str(process.pid))

    def stop(self, seconds: float = 30) -> None:
        """End it as systemd would: SIGTERM, then, too late, SIGKILL."""
        self._end(signal.SIGTERM, seconds)
        self._end(signal.SIGKILL, seconds)
        self._close_shared_connections()
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL, 10)
        self._pid_file.unlink(missing_ok=True)

    def _close_shared_connections(self) -> None:
        """After a crash ssh's shared connections go on for a while; the API itself ends them."""
        for socket in (self.data / "ssh").glob("*"):
            if socket.is_socket():
                run(["ssh", "-O", "exit", "-o", f"ControlPath={socket}", "cell"], check=False)

    def _end(self, how: signal.Signals, seconds: float) -> None:
        pid = self.pid
        if pid is None:
            return
        os.kill(pid, how)
        deadline = time.monotonic() + seconds
        while self.pid == pid and time.monotonic() < deadline:
            with suppress(ChildProcessError):  # somebody else's child vanishes by itself
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.05)


def end_services_of_this_checkout() -> list[int]:
    """End every `nanoctl` of this checkout, also one of tests that were killed; their ids."""
    ended = [pid for pid in process_ids() if str(NANOCTL) in process_arguments(pid)]
    for pid in ended:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    return ended
