# SPDX-License-Identifier: Apache-2.0
"""The lab's own ssh keys: one for its user, one per cell, known to the user in advance."""

import os
from pathlib import Path

from tests.lab.commands import run


class LabKeys:
    """Keys in the state directory; nothing of the user's own ssh configuration is used."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.private_key = directory / "id_ed25519"
        self.known_hosts = directory / "known_hosts"

    def create(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._generate(self.private_key, "nano-cloud-lab")

    def _generate(self, path: Path, comment: str) -> None:
        if path.exists() and path.with_suffix(".pub").exists():
            return
        path.unlink(missing_ok=True)
        path.with_suffix(".pub").unlink(missing_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        for leftover in (partial, partial.with_name(f"{partial.name}.pub")):
            leftover.unlink(missing_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(partial)])
        os.rename(partial.with_name(f"{partial.name}.pub"), path.with_suffix(".pub"))
        os.rename(partial, path)

    @property
    def client_public_key(self) -> str:
        return self.private_key.with_suffix(".pub").read_text()

    def host_key(self, cell_name: str) -> tuple[str, str]:
        """Return a cell's private and public host key, made on first use."""
        path = self.directory / f"host-{cell_name}"
        self._generate(path, f"root@{cell_name}")
        return path.read_text(), path.with_suffix(".pub").read_text()

    def write_known_hosts(self, addresses: dict[str, str]) -> None:
        """Write what ssh checks the cells against; `addresses` is by cell name."""
        lines = []
        for name, address in addresses.items():
            kind, key = self.host_key(name)[1].split()[:2]
            lines.append(f"{name},{address} {kind} {key}\n")
        self.known_hosts.write_text("".join(lines))

    def common_options(self) -> list[str]:
        """ssh options that check the cells strictly and look at nothing of the user's."""
        return [
            "-F", "/dev/null",
            "-o", f"UserKnownHostsFile={self.known_hosts}",
            "-o", "GlobalKnownHostsFile=/dev/null",
            "-o", "StrictHostKeyChecking=yes",
            "-o", "IdentitiesOnly=yes",
            "-o", "ConnectTimeout=10",
        ]  # fmt: skip

    def ssh_options(self) -> list[str]:
        """Return the options for the lab's own calls, which must never ask anything."""
        return [
            *self.common_options(),
            "-i", str(self.private_key),
            "-o", "BatchMode=yes",
            "-o", "LogLevel=ERROR",
        ]  # fmt: skip
