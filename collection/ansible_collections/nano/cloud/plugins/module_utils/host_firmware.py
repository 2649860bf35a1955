# SPDX-License-Identifier: BSD-2-Clause
"""Which firmware a host has, from QEMU's own descriptors, and whether it can emulate TPMs.

libvirt reads the same files at each definition; what it says of its capabilities it may have
looked up before a package was installed.
"""

from __future__ import annotations

import fnmatch
import glob
import json
import os
import shutil
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List

from .errors import Unsupported

# Later directories win over earlier ones, file by file; an empty file takes a descriptor away.
_DIRECTORIES = ("/usr/share/qemu/firmware", "/etc/qemu/firmware")
_KEYS = {"secure-boot", "enrolled-keys"}
_TPM_PROGRAMS = ("swtpm", "swtpm_setup")
_UEFI_PACKAGES = {
    "x86_64": "ovmf (Debian, Ubuntu) or edk2-ovmf (RHEL, Fedora)",
    "aarch64": "qemu-efi-aarch64 (Debian, Ubuntu) or edk2-aarch64 (RHEL, Fedora)",
}
_TPM_PACKAGES = "swtpm and swtpm-tools"


@dataclass(frozen=True)
class HostFirmware:
    """What guests of one machine type can get: ``open`` firmware enforces no signatures."""

    open: bool
    secure: bool


def parse_descriptors(texts: Iterable[str], arch: str, machine: str) -> HostFirmware:
    """The descriptors' JSON → what there is for a machine type. Pure."""
    features = []
    for text in texts:
        try:
            found = json.loads(text)
        except ValueError:
            continue  # libvirt passes over such a file as well, and says so in its log.
        if isinstance(found, dict) and _fits(found, arch, machine):
            features.append(set(found.get("features") or ()))
    return HostFirmware(
        open=any("enrolled-keys" not in each for each in features),
        secure=any(each >= _KEYS for each in features),
    )


def _fits(found: Dict[str, Any], arch: str, machine: str) -> bool:
    mapping = found.get("mapping") or {}
    # Firmware for confidential guests has no variables that could be kept.
    keeps = mapping.get("device") == "flash" and mapping.get("mode", "split") == "split"
    if not keeps or "uefi" not in (found.get("interface-types") or ()):
        return False
    # Descriptors know full names of machines only: pc-q35-*, not the alias q35.
    full = {"q35": "pc-q35-0", "pc": "pc-i440fx-0", "virt": "virt-0"}.get(machine, machine)
    return any(
        target.get("architecture") == arch
        and any(fnmatch.fnmatchcase(full, pattern) for pattern in target.get("machines") or ())
        for target in found.get("targets") or ()
    )


def read_descriptors() -> List[str]:
    """The texts of this machine's descriptors."""
    files: Dict[str, str] = {}
    for directory in _DIRECTORIES:
        for path in sorted(glob.glob(f"{directory}/*.json")):
            files[os.path.basename(path)] = path
    texts = []
    for path in files.values():
        with open(path, encoding="utf-8", errors="replace") as file:
            texts.append(file.read())
    return texts


def check_firmware(arch: str, machine: str, secure_boot: bool) -> None:
    """Whether this machine has the firmware for a guest.

    :raises Unsupported: it has not; names the packages
    """
    found = parse_descriptors(read_descriptors(), arch, machine)
    packages = _UEFI_PACKAGES.get(arch, "UEFI firmware for QEMU")
    if not found.open and not found.secure:
        raise Unsupported(
            f"this host has no UEFI firmware for {arch} machines of type {machine}: "
            f"install {packages}",
            field="firmware",
        )
    if secure_boot and not found.secure:
        raise Unsupported(
            f"this host's UEFI firmware for {arch} machines of type {machine} has no keys for "
            f"secure boot: set secure_boot to false, or install a version of {packages} that has",
            field="secure_boot",
        )
    if not secure_boot and not found.open:
        raise Unsupported(
            f"this host's UEFI firmware for {arch} machines of type {machine} enforces secure "
            "boot: set secure_boot",
            field="secure_boot",
        )


def check_tpm() -> None:
    """Whether this machine can emulate a TPM.

    :raises Unsupported: it cannot; names the packages
    """
    missing = [name for name in _TPM_PROGRAMS if shutil.which(name) is None]
    if missing:
        raise Unsupported(
            f"this host cannot emulate a TPM, {' and '.join(missing)} is missing: "
            f"install {_TPM_PACKAGES}",
            field="tpm",
        )
