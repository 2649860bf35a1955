# SPDX-License-Identifier: BSD-2-Clause
"""A domain's machine, firmware and TPM: spec ↔ XML. Pure mechanism, no policy.

libvirt itself chooses the firmware's files, by the descriptors that each distribution ships.
"""

from __future__ import annotations

from typing import Optional

from .domain_devices_xml import free_target
from .guest_spec import GuestSpec, has_ide
from .names import nvram_path
from .xml_tree import Element, add, child_of, element, remove_all

_KEYS = "enrolled-keys"


def add_machine(root: Element, spec: GuestSpec) -> None:
    """Machine, boot order, clock and the like of a new domain."""
    system = add(root, "os")
    kind = add(system, "type", "hvm", arch=spec.arch)
    if spec.machine:
        kind.set("machine", spec.machine)
    add(system, "boot", dev="cdrom")
    add(system, "boot", dev="hd")
    if spec.arch in ("x86_64", "i686"):
        features = add(root, "features")
        for name in ("pae", "acpi", "apic"):
            add(features, name)
    elif spec.firmware == "uefi":
        add(add(root, "features"), "acpi")
    add(root, "cpu")
    add(root, "clock", offset="utc")
    power = add(root, "pm")
    add(power, "suspend-to-mem", enabled="no")
    add(power, "suspend-to-disk", enabled="no")
    add(root, "on_poweroff", "destroy")
    add(root, "on_reboot", "restart")
    add(root, "on_crash", "restart")


def write_machine(root: Element, wanted: GuestSpec, found: GuestSpec) -> None:
    """Another machine for an existing domain: libvirt lays out its buses anew."""
    kind = root.find("./os/type")
    if wanted.machine == found.machine or kind is None:
        return
    kind.set("machine", wanted.machine)
    devices = child_of(root, "devices")
    for controller in devices.findall("controller"):
        if controller.get("type") in ("pci", "ide"):
            devices.remove(controller)
    for device in devices:
        for address in device.findall("./address[@type='pci']"):
            device.remove(address)
    if not has_ide(wanted.machine):
        _move_drives(root)


def _move_drives(root: Element) -> None:
    """CD drives from IDE to SATA."""
    for drive in root.findall("./devices/disk[@device='cdrom']"):
        if drive.find("./target[@bus='ide']") is not None:
            remove_all(drive, "target")
            remove_all(drive, "address")
            add(drive, "target", dev=free_target(root, "sata"), bus="sata")


def read_firmware(root: Element) -> str:
    """``uefi`` where it is said, or where a flash image is given; else ``bios``."""
    system = root.find("os")
    if system is None:
        return "bios"
    flash = system.find("./loader[@type='pflash']") is not None
    return "uefi" if system.get("firmware") == "efi" or flash else "bios"


def read_secure_boot(root: Element) -> bool:
    """Whether the firmware begins with keys, so that it starts nothing unsigned.

    Firmware that was named by file, not chosen by libvirt, is believed what its loader says.
    """
    keys = root.find(f"./os/firmware/feature[@name='{_KEYS}']")
    if keys is not None:
        return keys.get("enabled") == "yes"
    return root.find("./os/loader[@secure='yes']") is not None


def write_firmware(root: Element, wanted: GuestSpec, found: Optional[GuestSpec]) -> None:
    """Replace the firmware; what another one needed goes."""
    before = (found.firmware, found.secure_boot) if found else ("bios", False)
    if (wanted.firmware, wanted.secure_boot) == before:
        return
    system = child_of(root, "os")
    system.attrib.pop("firmware", None)
    for tag in ("firmware", "loader", "nvram"):
        remove_all(system, tag)
    if wanted.firmware != "uefi":
        return
    system.set("firmware", "efi")
    features = element("firmware")
    if wanted.secure_boot:
        add(features, "feature", enabled="yes", name="secure-boot")
    # Without keys nothing is enforced, whatever the firmware could do.
    add(features, "feature", enabled="yes" if wanted.secure_boot else "no", name=_KEYS)
    after_type = [child.tag for child in system].index("type") + 1
    system.insert(after_type, features)
    nvram = element("nvram")
    nvram.text = nvram_path(wanted.id, wanted.secure_boot)
    system.insert(after_type + 1, nvram)
    if wanted.secure_boot:
        system.insert(after_type + 1, element("loader", secure="yes"))


def read_tpm(root: Element) -> bool:
    """Whether there is a TPM, emulated or not."""
    return root.find("./devices/tpm") is not None


def write_tpm(root: Element, wanted: GuestSpec) -> None:
    """Add an emulated TPM 2.0, or remove every TPM."""
    devices = child_of(root, "devices")
    remove_all(devices, "tpm")
    if wanted.tpm:
        # The command-response interface is part of x86 machines only.
        model = "tpm-crb" if wanted.arch in ("x86_64", "i686") else "tpm-tis"
        chip = add(devices, "tpm", model=model)
        add(chip, "backend", type="emulator", version="2.0")
