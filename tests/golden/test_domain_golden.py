# SPDX-License-Identifier: Apache-2.0
"""Domain XML, word by word: a change that nobody meant shows as a difference in a file.

After a change that was meant: `pytest tests/golden --regenerate-golden`, and read the diff.
"""

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import domain_xml, guest_defaults
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import guest_request
from ansible_collections.nano.cloud.plugins.module_utils.host_capabilities import HostCapabilities

GUEST_ID = "6a2e3f10-8b1c-4b7e-9a55-0d9d7c1f2e3a"
GIB = 2**30
KVM = HostCapabilities("x86_64", ("kvm", "qemu"))
EMULATED = HostCapabilities("x86_64", ("qemu",))
ARM = HostCapabilities("aarch64", ("kvm", "qemu"))

# The four templates that Project Nano ships, then one guest for each other choice of a device.
CASES: dict[str, tuple[HostCapabilities, dict[str, Any]]] = {
    "template-centos-7": (KVM, {"disk_bus": "scsi", "template": "CentOS 7"}),
    "template-centos-6": (KVM, {"disk_bus": "sata", "template": "CentOS 6"}),
    "template-windows-2012": (
        KVM,
        {"disk_bus": "sata", "network": {"model": "e1000"}, "template": "Windows Server 2012"},
    ),
    "template-general": (
        KVM,
        {"disk_bus": "sata", "network": {"model": "rtl8139"}, "usb": "", "template": "General"},
    ),
    "bus-ide": (EMULATED, {"disk_bus": "ide"}),
    "bus-virtio": (EMULATED, {"disk_bus": "virtio"}),
    "video-cirrus": (EMULATED, {"video": "cirrus"}),
    "video-qxl-spice": (EMULATED, {"video": "qxl", "display": {"protocol": "spice"}}),
    "video-virtio": (EMULATED, {"video": "virtio"}),
    "video-none": (EMULATED, {"video": "none"}),
    "tablet-virtio": (EMULATED, {"tablet": "virtio"}),
    "tablet-none-usb-none": (EMULATED, {"tablet": "", "usb": ""}),
    "no-agent": (EMULATED, {"agent": False}),
    "serial-log": (EMULATED, {"serial_log": True}),
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
    "aarch64": (ARM, {}),
}
FOLDER = Path(__file__).parent / "domain"


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
    built, path = build(*CASES[name]), FOLDER / f"{name}.xml"
    if request.config.getoption("--regenerate-golden", default=False):
        path.write_text(built, encoding="utf-8")
    assert built == path.read_text(encoding="utf-8")


def test_no_file_is_left_over() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(CASES)
