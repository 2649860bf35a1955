# SPDX-License-Identifier: Apache-2.0
"""The guest LAN's DHCP server and both networks' name server: one dnsmasq on this machine."""

import signal
from pathlib import Path

from tests.lab.commands import (
    is_running,
    kill_processes,
    process_arguments,
    processes_started_with,
    run,
    wait_until,
)
from tests.lab.errors import LabError
from tests.lab.network import Network

LEASE_TIME = "1h"


class GuestLan:
    """dnsmasq for one lab, known by the lease file on its command line."""

    def __init__(self, state_directory: Path) -> None:
        self.lease_file = state_directory / "leases"
        self.hosts_file = state_directory / "hosts"
        self.log_file = state_directory / "dnsmasq.log"

    @property
    def _mark(self) -> str:
        return f"--dhcp-leasefile={self.lease_file}"

    def process_ids(self) -> list[int]:
        return [pid for pid in processes_started_with("dnsmasq", self._mark) if is_running(pid)]

    def start(self, network: Network) -> None:
        """Start the server unless it runs already on these networks."""
        argv = self._arguments(network)
        running = self.process_ids()
        if len(running) == 1 and process_arguments(running[0]) == argv:
            return
        self.stop()
        self.hosts_file.touch()
        # It goes into the background by itself, once it has bound its ports; until then it says
        # on its way out what is wrong.
        run(argv)
        if not wait_until(lambda: bool(self.process_ids()), 5):
            raise LabError(f"dnsmasq ended at once: see {self.log_file}.")

    def _arguments(self, network: Network) -> list[str]:
        lan = network.guest_lan
        return [
            "dnsmasq",
            "--conf-file=/dev/null",
            "--user=root",
            "--group=root",
            "--bind-interfaces",
            "--except-interface=lo",
            f"--interface={network.management_bridge}",
            f"--interface={network.guest_bridge}",
            f"--no-dhcp-interface={network.management_bridge}",
            f"--dhcp-range={lan[100]},{lan[250]},255.255.255.0,{LEASE_TIME}",
            "--dhcp-authoritative",
            # An address is given at once, not after a ping that nobody answers: guests boot
            # in three seconds here.
            "--no-ping",
            "--no-hosts",
            f"--addn-hosts={self.hosts_file}",
            self._mark,
            "--log-dhcp",
            "--pid-file=",
            f"--log-facility={self.log_file}",
        ]

    def reload(self) -> None:
        """Make the server read the hosts file again."""
        kill_processes(self.process_ids(), signal.SIGHUP)

    def stop(self) -> None:
        """End the server. Raises LabError when it does not die."""
        pids = self.process_ids()
        kill_processes(pids, signal.SIGTERM)
        if not wait_until(lambda: not self.process_ids(), 5):
            kill_processes(self.process_ids(), signal.SIGKILL)
            if not wait_until(lambda: not self.process_ids(), 5):
                raise LabError(f"dnsmasq (process {pids}) does not die.")

    def leases(self) -> dict[str, str]:
        """Return the address of each network card on the guest LAN, by MAC in lower case."""
        if not self.lease_file.exists():
            return {}
        found = {}
        for line in self.lease_file.read_text().splitlines():
            words = line.split()
            if len(words) >= 4 and words[1].count(":") == 5:
                found[words[1].lower()] = words[2]
        return found
