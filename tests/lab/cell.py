# SPDX-License-Identifier: Apache-2.0
"""A cell: a container with its own systemd, ssh server, disk, network and control groups."""

import re
import shlex
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.lab import network as networks
from tests.lab.cache import remove_tree
from tests.lab.commands import (
    is_running,
    kill_processes,
    processes_started_with,
    run,
    start_detached,
    wait_until,
)
from tests.lab.control_groups import (
    forget_scope,
    groups_named,
    kill_groups,
    processes_in,
    remove_groups,
    start_in_group,
)
from tests.lab.errors import LabError
from tests.lab.identity import Identity, cell_name
from tests.lab.keys import LabKeys
from tests.lab.mounts import is_mounted, mount_overlay
from tests.lab.network import Network

HOSTS_BEGIN = "# nano-cloud lab: begin"
HOSTS_END = "# nano-cloud lab: end"
MANAGEMENT_NIC = "host0"
GUEST_NIC = "guest0"
NSPAWN_RUN_DIRECTORY = Path("/run/systemd/nspawn")


def container_lock(root: Path) -> Path:
    """Return where systemd-nspawn locks a root directory, which must exist."""
    status = root.stat()
    return NSPAWN_RUN_DIRECTORY / "locks" / f"inode-{status.st_dev}:{status.st_ino}"


def remove_container_traces(machine_name_prefix: str, *roots: Path) -> None:
    """Remove what systemd-nspawn would have removed itself, had it not been killed.

    Its lock files are named after the root directories, which must still be mounted.
    """
    for kind in ("propagate", "unix-export"):
        for trace in (NSPAWN_RUN_DIRECTORY / kind).glob(f"{machine_name_prefix}*"):
            remove_tree(trace)
    for root in roots:
        if root.is_dir():
            container_lock(root).unlink(missing_ok=True)


@dataclass(frozen=True)
class Cell:
    """One cell of a lab. `disk` is the directory of its layers, `root` where they are mounted."""

    number: int
    identity: Identity
    network: Network
    keys: LabKeys
    directory: Path
    disk: Path

    @property
    def name(self) -> str:
        return cell_name(self.number)

    @property
    def address(self) -> str:
        return self.network.cell_address(self.number)

    @property
    def machine_name(self) -> str:
        return self.identity.machine_name(self.name)

    @property
    def root(self) -> Path:
        """The cell's root filesystem as this machine sees it, mounted while the lab is up."""
        return self.disk / "root"

    @property
    def console_log(self) -> Path:
        return self.directory / "console.log"

    @property
    def management_port(self) -> str:
        return self.network.management_port(self.number)

    @property
    def guest_port(self) -> str:
        return self.network.guest_port(self.number)

    # -- life ---------------------------------------------------------------------------------

    def is_running(self) -> bool:
        return any(is_running(pid) for pid in self._container_processes())

    def _container_processes(self) -> list[int]:
        return processes_started_with("systemd-nspawn", f"--machine={self.machine_name}")

    def start(self, tree: Path) -> None:
        """Mount the disk, write the identity into it and boot. Does not wait for ssh.

        `tree` is the root filesystem that the disk is a layer on.
        """
        if not is_mounted(self.root.resolve()):
            mount_overlay(tree, self.disk / "upper", self.disk / "work", self.root)
        self._write_identity()
        for port in (self.management_port, self.guest_port):
            networks.delete_port(port)
        forget_scope(self.machine_name)
        command = start_in_group(self.machine_name, self._container_arguments())
        start_detached(command, self.console_log)
        try:
            self.connect()
        except LabError as error:
            raise LabError(f"{self.name} did not start: {error} See {self.console_log}.") from error

    def _container_arguments(self) -> list[str]:
        return [
            "systemd-nspawn",
            "--quiet",
            f"--directory={self.root}",
            f"--machine={self.machine_name}",
            f"--hostname={self.name}",
            "--boot",
            "--capability=all",
            "--register=no",
            "--keep-unit",
            "--private-network",
            f"--network-veth-extra={self.management_port}:{MANAGEMENT_NIC}",
            f"--network-veth-extra={self.guest_port}:{GUEST_NIC}",
            # The lab writes these itself.
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--console=read-only",
        ]

    def kill(self) -> None:
        """End everything in the cell at once, as a power failure does. The disk stays."""
        groups = groups_named(self.machine_name)
        # The container's own process first, then whatever it held; guests are among it.
        kill_processes([*self._container_processes(), *processes_in(groups)])
        kill_groups(groups)
        if not wait_until(lambda: not self.is_running(), 20):
            raise LabError(f"The container of {self.name} does not die.")
        remove_groups(groups)
        forget_scope(self.machine_name)
        remove_container_traces(self.machine_name, self.root)
        for port in (self.management_port, self.guest_port):
            networks.delete_port(port)

    # -- contents -----------------------------------------------------------------------------

    def _write_identity(self) -> None:
        etc = self.root / "etc"
        (etc / "hostname").write_text(f"{self.name}\n")
        machine_id = etc / "machine-id"
        if not machine_id.exists() or not machine_id.read_text().strip():
            machine_id.write_text(f"{uuid.uuid4().hex}\n")
        (etc / "resolv.conf").unlink(missing_ok=True)
        (etc / "resolv.conf").write_text(f"nameserver {self.network.host_address}\n")
        has_kvm = etc / "lab-has-kvm"
        if Path("/dev/kvm").exists():
            has_kvm.touch()
        else:
            has_kvm.unlink(missing_ok=True)
        (etc / "systemd/network").mkdir(parents=True, exist_ok=True)
        # The name sorts before the file that systemd ships for containers, which asks a DHCP
        # server; and the address stays while the cable is out.
        (etc / "systemd/network/10-lab-management.network").write_text(
            f"[Match]\nName={MANAGEMENT_NIC}\n\n"
            f"[Network]\nAddress={self.address}/24\nGateway={self.network.host_address}\n"
            "LinkLocalAddressing=no\nIPv6AcceptRA=no\nConfigureWithoutCarrier=yes\n"
            "IgnoreCarrierLoss=yes\n"
        )
        private, public = self.keys.host_key(self.name)
        (etc / "ssh/ssh_host_ed25519_key").write_text(private)
        (etc / "ssh/ssh_host_ed25519_key").chmod(0o600)
        (etc / "ssh/ssh_host_ed25519_key.pub").write_text(public)
        ssh_directory = self.root / "root/.ssh"
        ssh_directory.mkdir(mode=0o700, exist_ok=True)
        authorized = ssh_directory / "authorized_keys"
        known = authorized.read_text() if authorized.exists() else ""
        if self.keys.client_public_key not in known:
            authorized.write_text(known + self.keys.client_public_key)
            authorized.chmod(0o600)

    def write_hosts(self, addresses: dict[str, str]) -> None:
        """Put the cells' names into the cell's /etc/hosts, leaving what others wrote there."""
        path = self.root / "etc/hosts"
        text = path.read_text() if path.exists() else "127.0.0.1 localhost\n::1 localhost\n"
        text = re.sub(f"{HOSTS_BEGIN}.*?{HOSTS_END}\n", "", text, flags=re.DOTALL)
        lines = [f"{address} {name}" for name, address in addresses.items()]
        block = "\n".join([HOSTS_BEGIN, *lines, HOSTS_END])
        path.write_text(f"{text}{block}\n")

    # -- use ----------------------------------------------------------------------------------

    def ssh_arguments(self) -> list[str]:
        """Return the ssh command up to and including the destination."""
        return ["ssh", *self.keys.ssh_options(), f"root@{self.address}"]

    def run(
        self,
        argv: list[str],
        *,
        check: bool = True,
        input_text: str | None = None,
        timeout_seconds: float | None = 600,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the cell through ssh and return its captured output.

        Raises LabError when it fails and `check` is set. Status 255 is ssh's own: no answer.
        """
        result = run(
            [*self.ssh_arguments(), shlex.join(argv)],
            check=False,
            input_text=input_text,
            timeout_seconds=timeout_seconds,
        )
        if check and result.returncode != 0:
            words = (result.stderr.strip() or result.stdout.strip()).splitlines()[-3:]
            raise LabError(
                f"`{shlex.join(argv)}` on {self.name} failed with status {result.returncode}: "
                f"{' / '.join(words)}"
            )
        return result

    def answers(self) -> bool:
        """Tell whether a command can be run in the cell through ssh now."""
        return self.run(["true"], check=False, timeout_seconds=15).returncode == 0

    def wait_for_ssh(self, timeout_seconds: float) -> None:
        """Wait until the cell answers. Raises LabError when it stops or takes too long."""

        def answered_or_stopped() -> bool:
            return self.answers() or not self.is_running()

        wait_until(answered_or_stopped, timeout_seconds, pause=0.2)
        if not self.is_running():
            raise LabError(f"{self.name} stopped while it booted: see {self.console_log}.")
        if not self.answers():
            raise LabError(
                f"{self.name} does not answer by ssh at {self.address} after "
                f"{timeout_seconds:.0f} s: see {self.console_log}."
            )

    # -- cable --------------------------------------------------------------------------------

    def cut(self, ports: list[str] | None = None) -> None:
        """Pull the cell's cables: the management one unless others are named."""
        for port in ports or [self.management_port]:
            networks.cut_port(port)

    def connect(self) -> None:
        """Plug all of the cell's cables in. Raises LabError when the cell has no such link."""
        networks.attach_port(self.management_port, self.network.management_bridge)
        networks.attach_port(self.guest_port, self.network.guest_bridge)
