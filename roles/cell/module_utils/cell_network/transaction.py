# SPDX-License-Identifier: Apache-2.0
"""A network change that runs on its own and undoes itself unless it is confirmed in time.

The change may cut the very connection that asked for it. So a shell script, detached from that
connection, installs the files, runs the commands, and waits: a file named `confirmed` ends it
well; if none comes, it puts the old files back and undoes the rest. Its directory keeps the
state, a log and copies of the files as they were.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable

from ansible.module_utils.cell_network.live import Link, restore_commands, run
from ansible.module_utils.cell_network.plan import Plan

from ansible_collections.nano.cloud.plugins.module_utils.errors import Busy, HypervisorError

ROOT = "/var/lib/nano-cloud"
# The reply must reach Ansible before the network moves under it.
HEAD_START_SECONDS = 2
RUNNING = ("starting", "pending")

SCRIPT = """\
#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Written by Ansible (nano-cloud, role cell) for one change of the network.
cd {directory} || exit 1
exec >log 2>&1 </dev/null
say() {{ echo "$1" >state.new && mv state.new state; }}
apply() {{
    set -x
{apply}
}}
undo() {{
    set -x
{undo}
}}
sleep {head_start}
if ! apply; then
    undo
    set +x
    say failed
    exit 1
fi
set +x
say pending
left={confirm}
while [ "$left" -gt 0 ]; do
    if [ -e confirmed ]; then
        say confirmed
        exit 0
    fi
    [ ! -e refused ] || break
    sleep 1
    left=$((left - 1))
done
echo "not confirmed within {confirm} seconds, or refused: undoing it"
undo
set +x
say undone
"""


class Transaction:
    """The latest change of one bridge; states: starting, pending, confirmed, undone, failed."""

    def __init__(self, bridge: str) -> None:
        self.bridge = bridge
        self.directory = os.path.join(ROOT, f"bridge-{bridge}")

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    @property
    def state(self) -> str:
        """Return the state, or "" when the bridge was never changed."""
        path = self._path("state")
        if not os.path.exists(path):
            return ""
        with open(path, encoding="ascii") as stream:
            return stream.read().strip()

    @property
    def is_running(self) -> bool:
        """Whether a change still waits; one that a reboot interrupted does not."""
        if self.state not in RUNNING or not os.path.exists(self._path("process")):
            return False
        with open(self._path("process"), encoding="ascii") as stream:
            unit_or_pid = stream.read().strip()
        if unit_or_pid.isdigit():
            return os.path.isdir(f"/proc/{unit_or_pid}")
        done = run(["systemctl", "is-active", "--quiet", unit_or_pid], check=False)
        return bool(done.returncode == 0)

    def log_tail(self, lines: int = 20) -> list[str]:
        path = self._path("log")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().splitlines()[-lines:]

    def start(self, plan: Plan, confirm_seconds: int) -> None:
        """Begin the change and return at once. Raises Busy while another one is under way."""
        if self.is_running:
            raise Busy(
                f"A change of {self.bridge} is under way on this host and ends by itself: "
                "try again in a few minutes.",
                bridge=self.bridge,
            )
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory, mode=0o700)
        script = self._write_script(plan, confirm_seconds)
        self._write("state", "starting\n")
        self._write("process", self._detach(script))

    def confirm(self, is_made: Callable[[], bool], timeout_seconds: float) -> None:
        """Keep the change once ``is_made()``: network managers go on working in the background.

        Raises HypervisorError when it failed, was undone already, or did not come about; then
        the host's network is as before.
        """
        deadline = time.monotonic() + timeout_seconds
        while self.state == "starting" and self.is_running and time.monotonic() < deadline:
            time.sleep(0.2)
        made = False
        while self.is_running and not made and time.monotonic() < deadline:
            made = is_made()
            time.sleep(0 if made else 0.2)
        self._write("confirmed" if made else "refused", "")
        while self.is_running:
            time.sleep(0.2)
        if self.state != "confirmed":
            self._explain(self.state)

    def _explain(self, state: str) -> None:
        why = {
            "failed": "it could not be carried out",
            "undone": "it did not come about, or Ansible did not reconnect, in time",
        }.get(state, "it was interrupted")
        raise HypervisorError(
            f"The bridge {self.bridge} was not made: {why}; the host's network is as before. "
            f"What was done is in {self._path('log')} there.",
            bridge=self.bridge,
            state=state,
            log=self.log_tail(),
        )

    def _write(self, name: str, text: str) -> None:
        with open(self._path(name), "w", encoding="utf-8") as stream:
            stream.write(text)

    def _write_script(self, plan: Plan, confirm_seconds: int) -> str:
        apply = _lines(plan.before, required=False)
        undo = _lines(plan.undo_before, required=False)
        for number, (path, text) in enumerate(sorted(plan.changed_files().items())):
            old, new = f"old-{number}", f"new-{number}"
            if os.path.exists(path):
                shutil.copy2(path, self._path(old))
                undo.append(f"cp -p {old} {shlex.quote(path)}")
            else:
                undo.append(f"rm -f {shlex.quote(path)}")
            if text is None:
                apply.append(f"rm -f {shlex.quote(path)} || return 1")
                continue
            self._write(new, text)
            mode = plan.file_mode
            if os.path.exists(path):
                mode = format(os.stat(path).st_mode & 0o7777, "04o")
            apply.append(f"install -D -m {mode} {new} {shlex.quote(path)} || return 1")
        apply += _lines(plan.after, required=True)
        undo += _lines(plan.undo_after, required=False)
        undo += _give_back_addresses(plan.nic)
        text = SCRIPT.format(
            directory=shlex.quote(self.directory),
            head_start=HEAD_START_SECONDS,
            confirm=confirm_seconds,
            apply="\n".join(f"    {line}" for line in apply),
            undo="\n".join(f"    {line}" for line in [*undo, "return 0"]),
        )
        self._write("change.sh", text)
        return self._path("change.sh")

    def _detach(self, script: str) -> str:
        """Run the script outside this session; return its unit's name or its process id."""
        if os.path.isdir("/run/systemd/system"):
            unit = f"nano-cloud-bridge-{self.bridge}-{int(time.time())}.service"
            run(["systemd-run", "--quiet", "--collect", f"--unit={unit}", "/bin/sh", script])
            return unit
        process = subprocess.Popen(
            ["/bin/sh", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return str(process.pid)


def _give_back_addresses(nic: Link | None) -> list[str]:
    """Return shell lines that set a NIC's addresses when nobody else does so in time."""
    if nic is None or not nic.carries_traffic:
        return []
    has_none = f'[ -z "$(ip -o address show dev {shlex.quote(nic.name)} scope global)" ]'
    return [
        "set +x; left=10",
        f"while {has_none} && [ $left -gt 0 ]; do sleep 1; left=$((left - 1)); done; set -x",
        f"if {has_none}; then",
        *[f"    {line}" for line in _lines(restore_commands(nic), required=False)],
        "fi",
    ]


def _lines(commands: list[list[str]], required: bool) -> list[str]:
    tail = " || return 1" if required else ""
    return [f"{shlex.join(command)}{tail}" for command in commands]
