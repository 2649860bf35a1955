# SPDX-License-Identifier: Apache-2.0
"""Domain XML, word by word: a change that nobody meant shows as a difference in a file.

After a change that was meant: `pytest tests/golden --regenerate-golden`, and read the diff.
"""

import difflib
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import (
    constants,
    domain_xml,
    guest_defaults,
)
from ansible_collections.nano.cloud.plugins.module_utils.errors import InvalidInput
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import guest_request
from ansible_collections.nano.cloud.plugins.module_utils.host_capabilities import HostCapabilities

GUEST_ID = "6a2e3f10-8b1c-4b7e-9a55-0d9d7c1f2e3a"
GIB = 2**30
KVM = HostCapabilities("x86_64", ("kvm", "qemu"))
EMULATED = HostCapabilities("x86_64", ("qemu",))
ARM = HostCapabilities("aarch64", ("kvm", "qemu"))

# The templates that Project Nano ships.
TEMPLATES: dict[str, dict[str, Any]] = {
    "centos-7": {"disk_bus": "scsi", "template": "CentOS 7"},
    "centos-6": {"disk_bus": "sata", "template": "CentOS 6"},
    "windows-2012": {
        "disk_bus": "sata",
        "network": {"model": "e1000"},
        "template": "Windows Server 2012",
    },
    "general": {
        "disk_bus": "sata",
        "network": {"model": "rtl8139"},
        "usb": "",
        "template": "General",
    },
    "legacy": {
        "disk_bus": "ide",
        "network": {"model": "rtl8139"},
        "video": "cirrus",
        "usb": "",
        "tablet": "",
        "template": "Legacy",
    },
}

# Every value that a device or the firmware can have, each tried with every template.
CHOICES: dict[str, dict[str, Any]] = {
    **{f"disk_bus {name}": {"disk_bus": name} for name in constants.DISK_BUSES},
    **{f"network {name}": {"network": {"model": name}} for name in constants.NETWORK_MODELS},
    "network down": {"network": {"link": "down"}},
    **{f"video {name}": {"video": name} for name in constants.VIDEO_MODELS},
    **{f"display {name}": {"display": {"protocol": name}} for name in constants.DISPLAY_PROTOCOLS},
    **{f"usb {name or 'none'}": {"usb": name} for name in constants.USB_CONTROLLERS},
    **{f"tablet {name or 'none'}": {"tablet": name} for name in constants.TABLET_BUSES},
    "no agent": {"agent": False},
    "serial log": {"serial_log": True},
    "tpm": {"tpm": True},
    "security policy": {"security_policy": "web"},
    "cloud-init": {"cloud_init": {"hostname": "web1"}},
    "uefi": {"firmware": "uefi"},
    "uefi with secure boot": {"firmware": "uefi", "secure_boot": True},
}

# One whole guest for each template, then for whatever deserves to be seen whole.
CASES: dict[str, tuple[HostCapabilities, dict[str, Any]]] = {
    **{f"template-{name}": (KVM, options) for name, options in TEMPLATES.items()},
    "uefi-secure-boot-tpm": (
        EMULATED,
        {"firmware": "uefi", "secure_boot": True, "tpm": True, "security_policy": "web"},
    ),
    "video-qxl-spice": (EMULATED, {"video": "qxl", "display": {"protocol": "spice"}}),
    "tablet-none-usb-none": (EMULATED, {"tablet": "", "usb": ""}),
    "display-port-password": (
        EMULATED,
        {"display": {"listen": "::1", "port": 5901, "password": "secret"}},
    ),
    "no-disks": (EMULATED, {"disks": []}),
    "one-core": (EMULATED, {"cores": 1}),
    "cores-over-sockets": (KVM, {"cores": 128}),
    "other-places": (
        EMULATED,
        {"pool": "fast", "network": {"bridge": "br7", "mac": "52:54:00:00:00:01"}},
    ),
    "people": (EMULATED, {"owner": '<o> & "p"', "group": "部門"}),
    "priority-medium": (EMULATED, {"cpu_priority": "medium"}),
    "priority-low": (EMULATED, {"cpu_priority": "low"}),
    "disk-limits": (
        EMULATED,
        {"disk_limits": {"read_bytes_sec": 10**8, "write_bytes_sec": 5 * 10**7}},
    ),
    "disk-limits-iops": (EMULATED, {"disk_limits": {"read_iops_sec": 500, "write_iops_sec": 300}}),
    "network-limits": (
        EMULATED,
        {"network_limits": {"receive_bytes_sec": 12500000, "send_bytes_sec": 1250000}},
    ),
    "aarch64": (ARM, {"tpm": True}),
}
FOLDER = Path(__file__).parent / "domain"
CHOICES_FOLDER = Path(__file__).parent / "choices"


def build(host: HostCapabilities, options: dict[str, Any]) -> str:
    basis = {
        "name": "admin.web1",
        "cores": 2,
        "memory_bytes": GIB,
        "disks": [{"size_bytes": 5 * GIB, "image": "debian-12"}, {"size_bytes": GIB}],
    }
    request = guest_request({**basis, **options})
    return domain_xml.build(guest_defaults.new_guest(request, GUEST_ID, host))


@pytest.mark.parametrize("name", sorted(CASES))
def test_domain(name: str, request: pytest.FixtureRequest) -> None:
    compare(build(*CASES[name]), FOLDER / f"{name}.xml", request)


def compare(text: str, path: Path, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--regenerate-golden", default=False):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def effect(template: dict[str, Any], choice: dict[str, Any]) -> list[str]:
    """What a choice changes in a template's guest, or why it is refused there."""
    plain = build(KVM, template).splitlines()
    network = {**template.get("network", {}), **choice.get("network", {})}
    options = {**template, **choice, **({"network": network} if network else {})}
    try:
        other = build(KVM, options).splitlines()
    except InvalidInput as error:
        return [f"refused: {error.message}"]
    return list(difflib.unified_diff(plain, other, lineterm="", n=1))[2:] or ["what it has"]


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_choice_with_every_template(name: str, request: pytest.FixtureRequest) -> None:
    lines = [
        "# SPDX-License-Identifier: Apache-2.0",
        f"# What each choice changes in a guest of the template {name}.",
        "",
    ]
    for choice, options in CHOICES.items():
        lines += [f"== {choice}", *effect(TEMPLATES[name], options), ""]
    compare("\n".join(lines), CHOICES_FOLDER / f"{name}.diff", request)


def test_no_file_is_left_over() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(CASES)
    assert sorted(path.stem for path in CHOICES_FOLDER.iterdir()) == sorted(TEMPLATES)
