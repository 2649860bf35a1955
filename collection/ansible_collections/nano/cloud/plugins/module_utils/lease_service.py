# SPDX-License-Identifier: BSD-2-Clause
"""Static addresses on a host: kept in files of each bridge, served by a dnsmasq for each."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from typing import Dict, Iterator, List, Sequence, Tuple

from .differences import Differences
from .errors import CloudError, Conflict, Unsupported
from .lease_files import LEASES, files_of, leases_in
from .lease_spec import Lease, lease_values
from .object_lock import object_lock

DIRECTORY = "/etc/nano-cloud/dhcp"
_UNIT = "nano-dhcp@"
_UNIT_FILE = "/etc/systemd/system/nano-dhcp@.service"

Table = Dict[str, Lease]


class DhcpServices:
    """The units, by bridge. Set up by the role ``cell``."""

    def check_usable(self) -> None:
        """:raises Unsupported: the host has not been prepared"""
        missing = [path for path in (_UNIT_FILE, "/usr/sbin/dnsmasq") if not os.path.exists(path)]
        if missing:
            raise Unsupported(
                f"this host cannot serve addresses: {' and '.join(missing)} is missing; run the "
                "role cell (playbooks/cell_onboard.yml) for it again"
            )

    def runs(self, bridge: str) -> bool:
        """Whether it runs now and will after a restart of the host."""
        words = [self._ask(verb, bridge) for verb in ("is-active", "is-enabled")]
        return words == ["active", "enabled"]

    def start(self, bridge: str) -> None:
        """Now and at every start; one that runs is started anew, which takes milliseconds.

        Not told to read its files again: with leases given, dnsmasq 2.90 dies of SIGHUP.
        """
        self._call("enable", bridge)
        self._call("restart", bridge)

    def stop(self, bridge: str) -> None:
        """Now and for good."""
        self._call("disable", bridge, "--now")

    def _ask(self, verb: str, bridge: str) -> str:
        return self._run([verb, self._unit(bridge)]).stdout.strip()

    def _call(self, verb: str, bridge: str, *flags: str) -> None:
        done = self._run([verb, *flags, self._unit(bridge)])
        if done.returncode:
            raise CloudError(
                f"cannot {verb} {self._unit(bridge)}: {done.stderr.strip()[-300:]}; see "
                f"`journalctl -u {self._unit(bridge)}` on the host",
                bridge=bridge,
            )

    def _unit(self, bridge: str) -> str:
        return f"{_UNIT}{bridge}.service"

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["systemctl", *arguments], capture_output=True, text=True, check=False
        )


@dataclass(frozen=True)
class LeaseOutcome:
    """What was (in check mode: would be) different, and all leases of the host."""

    differences: Differences
    leases: List[Lease]


class LeaseService:
    """The leases of one host. ``directory`` and ``services`` are others in tests only."""

    def __init__(self, directory: str, services: DhcpServices, machine_id: str) -> None:
        self._directory = directory
        self._services = services
        self._machine_id = machine_id

    def ensure_present(
        self, leases: Sequence[Lease], check_mode: bool, lock_timeout_seconds: float
    ) -> LeaseOutcome:
        """Have these leases; others stay.

        :raises Conflict: another card of the bridge has an address; names it.
        """
        with _locked(check_mode, lock_timeout_seconds):
            before = self._read()
            after = {**before, **{lease.mac: lease for lease in leases}}
            _check_addresses(after)
            return self._settle(before, after, check_mode)

    def ensure_absent(
        self, macs: Sequence[str], check_mode: bool, lock_timeout_seconds: float
    ) -> LeaseOutcome:
        """Have no leases of these cards."""
        with _locked(check_mode, lock_timeout_seconds):
            before = self._read()
            after = {mac: lease for mac, lease in before.items() if mac not in macs}
            return self._settle(before, after, check_mode)

    def _settle(self, before: Table, after: Table, check_mode: bool) -> LeaseOutcome:
        bridges = sorted({lease.bridge for lease in (*before.values(), *after.values())})
        if bridges:
            self._services.check_usable()
        stale = [bridge for bridge in bridges if self._differs(bridge, after)]
        differences = Differences(
            _shown(before, stale=[bridge for bridge in stale if _same(bridge, before, after)]),
            _shown(after),
        )
        if not check_mode:
            for bridge in stale:
                self._apply(bridge, after)
        shown = before if check_mode else after
        return LeaseOutcome(differences, [shown[mac] for mac in sorted(shown)])

    def _read(self) -> Table:
        found = {}
        for bridge in sorted(os.listdir(self._directory)) if self._exists() else ():
            with (
                contextlib.suppress(FileNotFoundError),
                open(os.path.join(self._folder(bridge), LEASES), encoding="utf-8") as file,
            ):
                found.update({lease.mac: lease for lease in leases_in(file.read())})
        return found

    def _differs(self, bridge: str, after: Table) -> bool:
        leases = _of_bridge(bridge, after)
        if not leases:
            return os.path.isdir(self._folder(bridge))
        wanted = self._files(bridge, leases)
        present = {name: self._text(bridge, name) for name in wanted}
        return present != wanted or not self._services.runs(bridge)

    def _apply(self, bridge: str, after: Table) -> None:
        folder, leases = self._folder(bridge), _of_bridge(bridge, after)
        if not leases:
            self._services.stop(bridge)
            shutil.rmtree(folder)
            return
        wanted = self._files(bridge, leases)
        os.makedirs(folder, mode=0o755, exist_ok=True)
        for name in sorted(wanted, key=lambda name: name == LEASES):
            # What we keep comes last: a run that dies before is seen to differ by the next.
            _replace(os.path.join(folder, name), wanted[name])
        self._services.start(bridge)

    def _files(self, bridge: str, leases: Sequence[Lease]) -> Dict[str, str]:
        return files_of(bridge, leases, self._folder(bridge), self._machine_id)

    def _text(self, bridge: str, name: str) -> str:
        try:
            with open(os.path.join(self._folder(bridge), name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def _folder(self, bridge: str) -> str:
        return os.path.join(self._directory, bridge)

    def _exists(self) -> bool:
        return os.path.isdir(self._directory)


def _of_bridge(bridge: str, table: Table) -> List[Lease]:
    return [lease for lease in table.values() if lease.bridge == bridge]


def _same(bridge: str, before: Table, after: Table) -> bool:
    return _of_bridge(bridge, before) == _of_bridge(bridge, after)


def _shown(table: Table, stale: Sequence[str] = ()) -> Dict[str, object]:
    """Leases by MAC; bridges whose server does not do what it should."""
    found: Dict[str, object] = {mac: lease_values(table[mac]) for mac in sorted(table)}
    found.update({f"server of {bridge}": "not as it should be" for bridge in stale})
    return found


def _check_addresses(table: Table) -> None:
    owners: Dict[Tuple[str, str], str] = {}
    for mac in sorted(table):
        lease = table[mac]
        address = lease.address.split("/")[0]
        other = owners.setdefault((lease.bridge, address), mac)
        if other != mac:
            raise Conflict(
                f"address {address} on {lease.bridge} is leased to {other} and to {mac}: remove "
                "one of them with state=absent",
                address=address,
                macs=[other, mac],
            )


def _replace(path: str, text: str) -> None:
    """Whole or not at all; dnsmasq reads it as an ordinary user."""
    descriptor, partial = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".partial-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


@contextlib.contextmanager
def _locked(check_mode: bool, timeout_seconds: float) -> Iterator[None]:
    if check_mode:
        yield
        return
    with object_lock("address-leases", "host", timeout_seconds):
        yield
