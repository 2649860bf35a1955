# SPDX-License-Identifier: GPL-3.0-or-later
"""Firmware, TPM and security policy: defaults, XML, what the host must have."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import (
    domain_xml,
    guest_defaults,
    guest_requirements,
    host_firmware,
    names,
)
from ansible_collections.nano.cloud.plugins.module_utils.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    Unsupported,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_service import (
    GuestOutcome,
    ensure_absent,
    ensure_present,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import GuestSpec
from ansible_collections.nano.cloud.plugins.module_utils.host_capabilities import HostCapabilities
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost

from .guests import FOREIGN, GUEST_ID, new_request, request

PC = HostCapabilities("x86_64", ("kvm", "qemu"))
ARM = HostCapabilities("aarch64", ("kvm",))
FOUND = domain_xml.parse(FOREIGN)


def made(host: HostCapabilities = PC, **options: Any) -> GuestSpec:
    spec = guest_defaults.new_guest(new_request(**options), GUEST_ID, host)
    return replace(spec, incomplete=False)


def changed(found: GuestSpec, **options: Any) -> GuestSpec:
    return guest_defaults.changed_guest(request(**options), found, PC)


@pytest.mark.parametrize(
    ("host", "options", "expected"),
    [
        (PC, {}, ("bios", "pc", False)),
        (PC, {"firmware": "uefi"}, ("uefi", "q35", False)),
        (PC, {"firmware": "uefi", "secure_boot": True}, ("uefi", "q35", True)),
        (ARM, {}, ("uefi", "virt", False)),
    ],
)
def test_machine_and_firmware_of_a_new_guest(
    host: HostCapabilities, options: dict[str, Any], expected: tuple[str, str, bool]
) -> None:
    spec = made(host, **options)
    assert (spec.firmware, spec.machine, spec.secure_boot) == expected


@pytest.mark.parametrize(
    ("host", "options", "message"),
    [
        (PC, {"secure_boot": True}, "secure_boot needs firmware uefi"),
        (PC, {"firmware": "uefi", "disk_bus": "ide"}, "q35 has no IDE"),
        (ARM, {"firmware": "bios"}, "no BIOS"),
        (PC, {"security_policy": "a/b"}, "policy's name"),
    ],
)
def test_what_does_not_fit_together(
    host: HostCapabilities, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        made(host, **options)


def test_a_guest_goes_to_uefi_and_back() -> None:
    bios = made()
    uefi = changed(bios, firmware="uefi")
    assert (uefi.machine, uefi.secure_boot) == ("q35", False)
    secure = changed(uefi, secure_boot=True)
    back = changed(secure, firmware="bios")
    assert (back.firmware, back.machine, back.secure_boot) == ("bios", "q35", False)
    with pytest.raises(InvalidInput, match="needs firmware uefi"):
        changed(secure, firmware="bios", secure_boot=True)


def test_other_options_leave_a_foreign_machine_alone() -> None:
    old = replace(FOUND, machine="pc-i440fx-7.2")
    assert changed(old, name=old.name, id=old.id, memory_bytes=2**30).machine == "pc-i440fx-7.2"


def test_uefi_in_xml() -> None:
    root = ElementTree.fromstring(domain_xml.build(made(firmware="uefi", secure_boot=True)))
    system = root.find("os")
    assert system is not None
    assert system.get("firmware") == "efi"
    assert system.find("loader[@secure='yes']") is not None
    assert system.findtext("nvram") == names.nvram_path(GUEST_ID, secure_boot=True)
    assert domain_xml.nvram_path(domain_xml.build(made(firmware="uefi"))) == names.nvram_path(
        GUEST_ID, secure_boot=False
    )


def test_another_machine_lays_out_its_buses_anew() -> None:
    old = made()
    xml = domain_xml.build(old).replace(
        "</devices>",
        "<controller type='pci' index='0' model='pci-root'/><controller type='ide' index='0'/>"
        "<sound model='ich6'><address type='pci' slot='0x04'/></sound>"
        "<hostdev mode='subsystem' type='pci'><source><address bus='0x06'/></source>"
        "<address type='pci' slot='0x05'/></hostdev></devices>",
    )
    new = changed(old, firmware="uefi")
    edited = domain_xml.edit(xml, new)
    devices = ElementTree.fromstring(edited).find("devices")
    assert devices is not None
    assert devices.findall("./*/address[@type='pci']") == []
    assert devices.find("hostdev/source/address") is not None
    kinds = {controller.get("type") for controller in devices.findall("controller")}
    assert kinds == {"usb", "scsi"}
    drive = devices.find("disk[@device='cdrom']/target")
    assert drive is not None
    assert drive.attrib == {"dev": "sdb", "bus": "sata"}
    assert domain_xml.parse(edited) == new


def test_what_libvirt_fills_in_is_understood() -> None:
    spec = made(firmware="uefi")
    filled = domain_xml.build(spec).replace(
        "<nvram>",
        "<loader readonly='yes' secure='yes' type='pflash'>/usr/share/OVMF/CODE.fd</loader><nvram>",
    )
    assert domain_xml.parse(filled) == spec
    assert "CODE.fd" in domain_xml.edit(filled, replace(spec, name="other"))
    assert "CODE.fd" not in domain_xml.edit(filled, replace(spec, secure_boot=True))
    assert (FOUND.firmware, FOUND.secure_boot, FOUND.tpm) == ("uefi", False, True)


def test_a_foreign_filter_stays_until_it_is_replaced() -> None:
    foreign = domain_xml.build(made()).replace(
        "</interface>", "<filterref filter='clean-traffic'/></interface>"
    )
    spec = domain_xml.parse(foreign)
    assert spec.security_policy == ""
    assert "clean-traffic" in domain_xml.edit(foreign, replace(spec, name="other"))
    edited = domain_xml.edit(foreign, replace(spec, security_policy="web"))
    assert "clean-traffic" not in edited
    assert "nano-web" in edited


def descriptor(*features: str, machines: tuple[str, ...] = ("pc-q35-*",), **more: Any) -> str:
    target = {"architecture": "x86_64", "machines": list(machines)}
    found = {"interface-types": ["uefi"], "targets": [target], "features": list(features)}
    return json.dumps({**found, "mapping": {"device": "flash"}, **more})


OPEN = descriptor("amd-sev", machines=("pc-i440fx-*", "pc-q35-*"))
CAPABLE = descriptor("secure-boot", "requires-smm")
ENROLLED = descriptor("secure-boot", "requires-smm", "enrolled-keys")


@pytest.mark.parametrize(
    ("texts", "machine", "expected"),
    [
        ([], "q35", (False, False)),
        ([OPEN], "q35", (True, False)),
        ([OPEN], "pc-q35-7.2", (True, False)),
        ([OPEN], "virt", (False, False)),
        ([ENROLLED], "pc", (False, False)),
        ([CAPABLE, ENROLLED], "q35", (True, True)),
        ([ENROLLED], "q35", (False, True)),
        ([descriptor(mapping={"device": "memory"})], "q35", (False, False)),
        ([descriptor(mapping={"device": "flash", "mode": "stateless"})], "q35", (False, False)),
        ([descriptor(**{"interface-types": ["bios"]})], "q35", (False, False)),
        (["", "[]", "{nonsense"], "q35", (False, False)),
    ],
)
def test_descriptors(texts: list[str], machine: str, expected: tuple[bool, bool]) -> None:
    found = host_firmware.parse_descriptors(texts, "x86_64", machine)
    assert (found.open, found.secure) == expected


def test_descriptors_of_the_administrator_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, own = tmp_path / "usr", tmp_path / "etc"
    for folder in (shipped, own):
        folder.mkdir()
    (shipped / "40-secure.json").write_text(ENROLLED)
    (shipped / "60-open.json").write_text(OPEN)
    (own / "60-open.json").write_text("")
    monkeypatch.setattr(host_firmware, "_DIRECTORIES", (str(shipped), str(own)))
    host_firmware.check_firmware("x86_64", "q35", secure_boot=True)
    with pytest.raises(Unsupported, match="set secure_boot"):
        host_firmware.check_firmware("x86_64", "q35", secure_boot=False)
    with pytest.raises(Unsupported, match="install ovmf"):
        host_firmware.check_firmware("x86_64", "pc", secure_boot=False)
    (shipped / "40-secure.json").write_text(CAPABLE)
    with pytest.raises(Unsupported, match="no keys"):
        host_firmware.check_firmware("x86_64", "q35", secure_boot=True)


def test_a_tpm_needs_its_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "swtpm").write_text("")
    (tmp_path / "swtpm").chmod(0o755)
    with pytest.raises(Unsupported, match="swtpm_setup is missing: install"):
        host_firmware.check_tpm()


class _Host:
    """A local hypervisor that has one policy."""

    is_local_hypervisor = True

    def has_filter(self, name: str) -> bool:
        return name == "nano-web"


def test_only_what_is_new_is_asked_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(host_firmware, "check_firmware", lambda *_: asked.append("firmware"))
    monkeypatch.setattr(host_firmware, "check_tpm", lambda: asked.append("tpm"))
    host: Any = _Host()
    full = made(firmware="uefi", tpm=True, security_policy="web")
    guest_requirements.check_requirements(host, full, None)
    assert asked == ["firmware", "tpm"]
    guest_requirements.check_requirements(host, replace(full, name="other"), full)
    assert asked == ["firmware", "tpm"]
    guest_requirements.check_requirements(host, made(), full)
    assert asked == ["firmware", "tpm"]
    with pytest.raises(NotFound, match=r"policy db .* no network filter nano-db"):
        guest_requirements.check_requirements(host, replace(full, security_policy="db"), full)


def present(host: LibvirtHost, **options: Any) -> GuestOutcome:
    return ensure_present(host, new_request(**options), False, 1)


def test_a_uefi_guests_life(host: LibvirtHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LibvirtHost, "has_filter", lambda _self, name: name == "nano-web")
    options: dict[str, Any] = {"firmware": "uefi", "tpm": True, "security_policy": "web"}
    first = present(host, **options)
    assert first.guest is not None
    assert {key: first.guest[key] for key in options} == options
    assert not present(host, **options).differences.changed
    domain = host.find_domain(GUEST_ID, None)
    assert domain is not None
    domain.start()
    for option in ({"firmware": "bios"}, {"secure_boot": True}):
        with pytest.raises(Conflict, match=f"stop it first to change its {next(iter(option))}"):
            present(host, **{**options, **option})
    with pytest.raises(NotFound, match="security_policy db"):
        present(host, **{**options, "security_policy": "db"})
    waiting = present(host, **{**options, "tpm": False})
    assert waiting.restart_required == ["tpm"]
    domain.destroy()
    assert present(host, firmware="bios").differences.fields == ["firmware"]
    assert present(host, firmware="uefi", secure_boot=True).differences.fields == [
        "firmware",
        "secure_boot",
    ]
    ensure_absent(host, request(), False, False, 1)
