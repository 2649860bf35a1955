# SPDX-License-Identifier: Apache-2.0
"""A lab: cells, their networks and the guest LAN, from nothing to nothing."""

import json
import os
import shlex
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import network as networks
from tests.lab.cache import exclusive, prune, remove_tree
from tests.lab.cell import Cell, remove_container_traces
from tests.lab.cloud_image import cloud_image, current_cloud_image
from tests.lab.commands import Progress
from tests.lab.control_groups import groups_named, kill_groups, processes_in, remove_groups
from tests.lab.dhcp import GuestLan
from tests.lab.errors import LabError
from tests.lab.guest_image import AGENT, ALL_DRIVERS, current_guest_images, guest_image
from tests.lab.identity import (
    CHECKOUT,
    DEFAULT_INSTANCE,
    MAX_CELLS,
    RUN_DIRECTORY,
    SPARE_DIRECTORY,
    STORAGE_NAME,
    STORAGE_NUMBER,
    Identity,
    cell_name,
    cell_number,
)
from tests.lab.inventory import inventory_text
from tests.lab.keys import LabKeys
from tests.lab.mounts import mount_overlay
from tests.lab.network import Network
from tests.lab.requirements import check_machine, check_user
from tests.lab.rootfs import current_root_filesystem, root_filesystem

DEFAULT_CELLS = 2
BOOT_SECONDS = 90


def _silent(_: str) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True)
class Plan:
    """What is kept between calls: how many cells, on which tree, with their disks where."""

    cells: int
    tree: Path
    disks: Path


class Lab:
    """One lab of a checkout. Nothing happens until `up`; state is in var/, not in the object."""

    def __init__(
        self,
        instance: str = DEFAULT_INSTANCE,
        *,
        checkout: Path = CHECKOUT,
        progress: Progress = _silent,
    ) -> None:
        self.identity = Identity(checkout, instance)
        self.progress = progress
        self.state_directory = self.identity.state_directory
        self.keys = LabKeys(self.state_directory / "keys")
        self.guest_lan = GuestLan(self.state_directory)

    # -- what there is ------------------------------------------------------------------------

    @property
    def network(self) -> Network:
        """The lab's networks. Raises LabError while the lab is down."""
        found = networks.existing(self.identity)
        if found is None:
            raise LabError("The lab is not up: run `python -m tests.lab up` first.")
        return found

    @property
    def cells(self) -> list[Cell]:
        """The cells that `up` made, running or killed; empty while the lab is down."""
        plan = self._plan()
        network = networks.existing(self.identity)
        if plan is None or network is None:
            return []
        return [self._cell(number, network, plan) for number in range(1, plan.cells + 1)]

    @property
    def machines(self) -> list[Cell]:
        """The cells, and the storage server when there is one."""
        plan = self._plan()
        network = networks.existing(self.identity)
        if plan is None or network is None or not (plan.disks / STORAGE_NAME).is_dir():
            return self.cells
        return [*self.cells, self._cell(STORAGE_NUMBER, network, plan)]

    def cell(self, name: str) -> Cell:
        """Return a cell, or the storage server. Raises LabError for a name the lab has not."""
        cell_number(name)
        for cell in self.machines:
            if cell.name == name:
                return cell
        raise LabError(f"The lab has no cell {name!r}: `status` lists them, `up N` adds some.")

    @property
    def host_address(self) -> str:
        """This machine's address on the management network."""
        return self.network.host_address

    @property
    def inventory_path(self) -> Path:
        """The generated Ansible inventory."""
        return self.state_directory / "inventory.yml"

    def leases(self) -> dict[str, str]:
        """Return the addresses that guests got, by MAC in lower case."""
        return self.guest_lan.leases()

    @property
    def image_qcow2(self) -> Path:
        """The tiny guest's bootable disk image, built on first use."""
        return guest_image(self.progress).qcow2

    @property
    def image_iso(self) -> Path:
        """The tiny guest's bootable ISO image, built on first use."""
        return guest_image(self.progress).iso

    @property
    def image_agent_qcow2(self) -> Path:
        """The tiny guest's bootable disk image, with QEMU's guest agent in it."""
        return guest_image(self.progress, AGENT).qcow2

    @property
    def image_all_drivers_qcow2(self) -> Path:
        """The same with drivers for e1000, rtl8139 and SATA too; boots in twice the time."""
        return guest_image(self.progress, ALL_DRIVERS).qcow2

    @property
    def image_all_drivers_iso(self) -> Path:
        """The same with drivers for e1000, rtl8139 and SATA too; boots in twice the time."""
        return guest_image(self.progress, ALL_DRIVERS).iso

    @property
    def cloud_image_qcow2(self) -> Path:
        """A real Debian with cloud-init, the guest agent and ssh, built on first use."""
        return cloud_image(self.progress)

    # -- up -----------------------------------------------------------------------------------

    def up(self, count: int | None = None) -> None:
        """Bring up `count` cells and wait until each answers by ssh.

        Finishes a lab that is half made, restarts killed cells, adds cells to a smaller lab
        and never removes one. Without `count`: as many as there were, or two.
        Raises LabError when this machine cannot carry a lab or a cell does not boot.
        """
        check_machine(self.identity)
        if count is not None and not 1 <= count <= MAX_CELLS:
            raise LabError(f"A lab has 1 to {MAX_CELLS} cells.")
        with self._exclusive():
            plan = self._make_plan(count)
            network = networks.ensure(self.identity)
            self.progress(
                f"Networks: management {network.management}, guest LAN {network.guest_lan}"
            )
            self.keys.create()
            self._bring_up(self.machines, network, plan)

    def storage(self) -> Cell:
        """Bring up the storage server, a plain machine like a cell, and return it.

        It belongs to the lab from then on: `up` restarts it, `down` removes it.
        """
        with self._exclusive():
            plan, network = self._plan(), self.network
            if plan is None:
                raise LabError("The lab is not up: run `python -m tests.lab up` first.")
            (plan.disks / STORAGE_NAME).mkdir(parents=True, exist_ok=True)
            self._bring_up(self.machines, network, plan)
        return self.cell(STORAGE_NAME)

    def _bring_up(self, machines: list[Cell], network: Network, plan: Plan) -> None:
        addresses = {machine.name: machine.address for machine in machines}
        self.keys.write_known_hosts(addresses)
        self._write(self.inventory_path, inventory_text(machines))
        self._write(
            self.guest_lan.hosts_file,
            "".join(f"{address} {name}\n" for name, address in addresses.items()),
        )
        self.guest_lan.start(network)
        self.guest_lan.reload()
        self._start_cells(machines, plan.tree)
        for machine in machines:
            machine.write_hosts(addresses)

    def _start_cells(self, cells: list[Cell], tree: Path) -> None:
        def start(cell: Cell) -> None:
            if cell.is_running():
                # The one who started it may have died before its cables were in.
                cell.connect()
            else:
                cell.kill()
                self.progress(f"Starting {cell.name}")
                cell.start(tree)
            cell.wait_for_ssh(BOOT_SECONDS)
            self.progress(f"{cell.name} answers at {cell.address}")

        with ThreadPoolExecutor(max_workers=8) as pool:
            # list() raises the first cell's error after all have ended.
            list(pool.map(start, cells))

    def _cell(self, number: int, network: Network, plan: Plan) -> Cell:
        name = cell_name(number)
        return Cell(
            number=number,
            identity=self.identity,
            network=network,
            keys=self.keys,
            directory=self.state_directory / "cells" / name,
            disk=plan.disks / name,
        )

    # -- state --------------------------------------------------------------------------------

    @property
    def _plan_file(self) -> Path:
        return self.state_directory / "lab.json"

    def _plan(self) -> Plan | None:
        try:
            text = self._plan_file.read_text()
        except FileNotFoundError:
            return None
        fields = json.loads(text)
        return Plan(fields["cells"], Path(fields["tree"]), Path(fields["disks"]))

    def _make_plan(self, count: int | None) -> Plan:
        """Decide what to bring up, and write it down before anything of it exists."""
        old = self._plan()
        if old is None or not old.tree.is_dir():
            # A layer of an unknown or lost tree cannot be used any more.
            self._tear_down()
            self.state_directory.mkdir(parents=True, exist_ok=True)
            tree = root_filesystem(self.progress) / "tree"
            plan = Plan(count or DEFAULT_CELLS, tree, self._place_for_disks(tree))
        else:
            if old.tree != current_root_filesystem() / "tree":
                self.progress(
                    "The cells' recipe has changed since they were made; they stay as they are "
                    "until `down` and `up`"
                )
            plan = Plan(max(count or 0, old.cells), old.tree, old.disks)
        fields = {"cells": plan.cells, "tree": str(plan.tree), "disks": str(plan.disks)}
        self._write(self._plan_file, json.dumps(fields, indent=2) + "\n")
        return plan

    def _place_for_disks(self, tree: Path) -> Path:
        """Find a filesystem that can carry the writable layers: the checkout's, or /var's."""
        reasons = []
        for place in (self.state_directory / "disks", self.identity.spare_directory):
            trial = place / "trial"
            try:
                mount_overlay(tree, trial / "upper", trial / "work", trial / "root")
            except LabError as error:
                reasons.append(str(error))
                continue
            finally:
                remove_tree(trial)
            return place.resolve()
        raise LabError(" ".join(reasons))

    def _write(self, path: Path, text: str) -> None:
        """Replace a file in one step: a reader, or a crash, never sees half of it."""
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text)
        os.rename(partial, path)

    def _exclusive(self) -> AbstractContextManager[None]:
        return exclusive(
            RUN_DIRECTORY / f"{self.identity.lab_id}.lock",
            lambda: self.progress("Waiting for another `up` or `down` of this lab"),
        )

    # -- down ---------------------------------------------------------------------------------

    def down(self) -> None:
        """Remove everything the lab has made, whatever state it is in, and its state directory.

        Raises LabError, naming it, when something cannot be removed; a second `down` goes on.
        """
        check_user()
        with self._exclusive():
            self._tear_down()

    def _tear_down(self) -> None:
        prefix = self.identity.group_prefix
        groups = groups_named(prefix)
        if groups:
            self.progress("Ending the cells")
        kill_groups(groups)
        remove_groups(groups)
        self.guest_lan.stop()
        networks.remove(self.identity)
        places = (self.state_directory / "disks", self.identity.spare_directory)
        roots = [root for place in places for root in place.glob("*/root")]
        remove_container_traces(prefix, *roots)
        if self.state_directory.exists() or self.identity.spare_directory.exists():
            self.progress("Removing the cells' disks")
        remove_tree(self.identity.spare_directory)
        if SPARE_DIRECTORY.is_dir() and not any(SPARE_DIRECTORY.iterdir()):
            SPARE_DIRECTORY.rmdir()
        remove_tree(self.state_directory)

    def prune(self) -> list[Path]:
        """Delete cached trees and images of older recipes; returns what was deleted."""
        check_user()
        return prune([current_root_filesystem(), *current_guest_images(), current_cloud_image()])

    # -- status -------------------------------------------------------------------------------

    def status(self) -> dict[str, object]:
        """Return what is there, as plain data; `state` of the lab: down, up or partly."""
        network = networks.existing(self.identity)
        cells = self.machines
        described = [self._cell_status(cell) for cell in cells]
        healthy = (
            network is not None
            and bool(cells)
            and bool(self.guest_lan.process_ids())
            and all(entry["state"] == "answers" for entry in described)
        )
        leftovers = bool(
            network
            or self.state_directory.exists()
            or processes_in(groups_named(self.identity.group_prefix))
        )
        return {
            "instance": self.identity.instance,
            "state": "up" if healthy else "partly" if leftovers else "down",
            "state_directory": str(self.state_directory),
            "inventory": str(self.inventory_path) if self.inventory_path.exists() else None,
            "host_address": network.host_address if network else None,
            "management_network": str(network.management) if network else None,
            "guest_lan": str(network.guest_lan) if network else None,
            "dhcp_running": bool(self.guest_lan.process_ids()),
            "leases": self.leases(),
            "cells": described,
        }

    def _cell_status(self, cell: Cell) -> dict[str, object]:
        if not cell.is_running():
            state = "killed"
        elif not networks.port_is_up(cell.management_port):
            state = "cut"
        else:
            state = "answers" if cell.answers() else "silent"
        return {"name": cell.name, "address": cell.address, "state": state}

    # -- faults -------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """Take a cell's power away: every process in it dies at once, guests too."""
        self.cell(name).kill()

    def cut(self, name: str, *, management: bool = True, guest_lan: bool = False) -> None:
        """Pull a cell's cables; what runs in the cell goes on."""
        cell = self.cell(name)
        ports = [cell.management_port] if management else []
        ports += [cell.guest_port] if guest_lan else []
        cell.cut(ports)

    def heal(self, name: str) -> None:
        """Plug a cell's cables in, or power a killed cell on, and wait until it answers."""
        cell = self.cell(name)
        plan = self._plan()
        if plan is None:
            raise LabError("The lab is not up: run `python -m tests.lab up` first.")
        if cell.is_running():
            cell.connect()
        else:
            cell.kill()
            cell.start(plan.tree)
        cell.wait_for_ssh(BOOT_SECONDS)

    def exec_arguments(self, name: str, argv: list[str]) -> list[str]:
        """Return the ssh command that runs `argv` in a cell with this terminal."""
        terminal = ["-t"] if os.isatty(0) and os.isatty(1) else []
        ssh, *rest = self.cell(name).ssh_arguments()
        return [ssh, *terminal, *rest, *([] if not argv else [shlex.join(argv)])]
