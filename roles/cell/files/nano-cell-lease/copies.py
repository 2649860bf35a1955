# SPDX-License-Identifier: Apache-2.0
"""Copies of the guests' definitions beside their disks, for a cell that takes them over."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from lease import Configuration, check_mounted, replace_file, uses_pool

LIBVIRT_DIRECTORY = Path("/etc/libvirt")
TPM_DIRECTORY = Path("/var/lib/libvirt/swtpm")
#: Below the shared storage's directory.
DEFINITIONS = ".nano-cloud/definitions"


class Copies:
    """The definitions of guests, and the files that go with them, beside their disks."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._target = Path(configuration.path, DEFINITIONS, configuration.cell)
        self._seen: dict[str, float] = {}

    def update(self) -> None:
        """Copy what changed, drop what is gone.

        A lease lasts for some seconds after the storage was taken away.
        """
        check_mounted(self._configuration.path)
        (self._target / "filters").mkdir(parents=True, exist_ok=True, mode=0o700)
        wanted = set()
        for file in sorted((LIBVIRT_DIRECTORY / "qemu").glob("*.xml")):
            with suppress(FileNotFoundError, ElementTree.ParseError):
                xml = file.read_text()
                guest_id = uses_pool(xml, self._configuration)
                if guest_id:
                    wanted |= {f"{guest_id}.xml", f"{guest_id}.nvram", f"{guest_id}.tpm"}
                    self._copy_guest(guest_id, xml, file)
        for file in sorted((LIBVIRT_DIRECTORY / "nwfilter").glob("nano-*.xml")):
            self._copy(file, self._target / "filters" / file.name)
        for old in self._target.iterdir():
            if old.is_file() and not old.name.startswith(".") and old.name not in wanted:
                old.unlink()

    def _copy_guest(self, guest_id: str, xml: str, file: Path) -> None:
        self._copy(file, self._target / f"{guest_id}.xml")
        nvram = ElementTree.fromstring(xml).findtext("./os/nvram")
        if nvram:
            self._copy(Path(nvram), self._target / f"{guest_id}.nvram")
        state = TPM_DIRECTORY / guest_id
        stamps = [each.stat().st_mtime for each in state.rglob("*")] if state.is_dir() else []
        if stamps and self._seen.get(str(state)) != max(stamps):
            packed = subprocess.run(
                ["tar", "-C", str(TPM_DIRECTORY), "-c", guest_id],
                stdout=subprocess.PIPE,
                check=True,
            )
            replace_file(self._target / f"{guest_id}.tpm", packed.stdout)
            self._seen[str(state)] = max(stamps)

    def _copy(self, source: Path, target: Path) -> None:
        try:
            stamp = source.stat().st_mtime
            if self._seen.get(str(source)) != stamp or not target.exists():
                replace_file(target, source.read_bytes())
                self._seen[str(source)] = stamp
        except FileNotFoundError:
            return  # it went between the look and the copy
