# SPDX-License-Identifier: GPL-3.0-or-later
"""Processor priority, limits of disks and network: options, XML, and a running guest.

Limits of the network are tried through the definition, and live on libvirt's test driver: QEMU
needs kernel modules for them (sch_sfq, act_police) that not every test machine has.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import domain_limits_xml
from ansible_collections.nano.cloud.plugins.module_utils.errors import InvalidInput
from ansible_collections.nano.cloud.plugins.module_utils.guest_limits_spec import (
    DiskLimits,
    NetworkLimits,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_service import ensure_present
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_domain import Domain
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost

from .guests import FOREIGN, GIB, GUEST_ID, new_request, request

ALL_DISK_LIMITS = {
    "read_bytes_sec": 10**8,
    "write_bytes_sec": 5 * 10**7,
    "read_iops_sec": 500,
    "write_iops_sec": 300,
}


def found(host: LibvirtHost) -> tuple[Domain, ElementTree.Element]:
    domain = host.find_domain(GUEST_ID, None)
    assert domain is not None
    return domain, ElementTree.fromstring(domain.inactive_xml(secure=False))


def test_a_new_guest_has_high_priority_and_no_limits(host: LibvirtHost) -> None:
    made = ensure_present(host, new_request(), False, 1).guest
    assert made is not None
    assert made["cpu_priority"] == "high"
    assert set(made["disk_limits"].values()) == set(made["network_limits"].values()) == {0}
    root = found(host)[1]
    assert [root.findtext(f"cputune/{name}") for name in ("shares", "period", "quota")] == [
        "2000", "1000000", "1000000",
    ]  # fmt: skip
    assert root.find(".//iotune") is None
    assert root.find(".//bandwidth") is None


def test_bandwidth_is_in_kibibytes_with_twice_as_much_at_peak(host: LibvirtHost) -> None:
    limits = {"receive_bytes_sec": 10 * 1024 + 1, "send_bytes_sec": 2048}
    ensure_present(host, new_request(network_limits=limits), False, 1)
    root = found(host)[1]
    inbound, outbound = root.find(".//bandwidth/inbound"), root.find(".//bandwidth/outbound")
    assert inbound is not None
    assert inbound.attrib == {"average": "11", "peak": "22", "burst": "11"}
    assert outbound is not None
    assert outbound.attrib == {"average": "2", "peak": "4", "burst": "2"}
    assert not ensure_present(host, request(network_limits=limits), False, 1).differences.changed


def test_one_limit_changes_and_the_others_stay(host: LibvirtHost) -> None:
    disks = [{"size_bytes": GIB}] * 2
    ensure_present(host, new_request(disks=disks, disk_limits=ALL_DISK_LIMITS), False, 1)
    changed = ensure_present(host, request(disk_limits={"read_iops_sec": 0}), False, 1)
    assert changed.differences.fields == ["disk_limits"]
    assert changed.guest is not None
    assert changed.guest["disk_limits"] == {**ALL_DISK_LIMITS, "read_iops_sec": 0}
    tunings = found(host)[1].findall("./devices/disk/iotune")
    assert [tuning.findtext("write_iops_sec") for tuning in tunings] == ["300", "300"]
    assert all(tuning.find("read_iops_sec") is None for tuning in tunings)


def test_a_disk_that_is_added_is_limited_like_the_others(host: LibvirtHost) -> None:
    ensure_present(host, new_request(disk_limits={"read_iops_sec": 7}), False, 1)
    ensure_present(host, request(disks=[{"size_bytes": GIB}] * 2), False, 1)
    tunings = found(host)[1].findall("./devices/disk/iotune")
    assert [tuning.findtext("read_iops_sec") for tuning in tunings] == ["7", "7"]


def test_a_running_guest_takes_network_limits_at_once(host: LibvirtHost) -> None:
    """Those of disks only QEMU takes: libvirt's test driver misses a maximum that nobody set."""
    option: dict[str, Any] = {
        "network_limits": {"receive_bytes_sec": 2048, "send_bytes_sec": 1024},
    }
    ensure_present(host, new_request(), False, 1)
    found(host)[0].start()
    changed = ensure_present(host, request(**option), False, 1)
    assert changed.warnings == []
    assert changed.restart_required == []
    assert changed.differences.fields == list(option)
    assert not ensure_present(host, request(**option), False, 1).differences.changed


def test_what_a_running_guest_does_not_take_waits_and_is_said(host: LibvirtHost) -> None:
    """libvirt's test driver has no scheduler to tell."""
    ensure_present(host, new_request(), False, 1)
    found(host)[0].start()
    changed = ensure_present(host, request(cpu_priority="low"), False, 1)
    assert changed.restart_required == ["cpu_priority"]
    assert "cpu_priority waits for a restart" in changed.warnings[0]
    assert found(host)[1].findtext("cputune/quota") == "250000"


def test_limits_need_what_they_limit(host: LibvirtHost) -> None:
    with pytest.raises(InvalidInput, match="disk_limits needs a disk"):
        ensure_present(
            host, new_request(disks=[], disk_limits={"read_iops_sec": 1}), check_mode=True,
            lock_timeout_seconds=1,
        )  # fmt: skip


def test_another_tools_priority_has_no_word_here() -> None:
    root = ElementTree.fromstring(FOREIGN)
    assert domain_limits_xml.read_cpu_priority(root) == ""
    tuning = root.find("cputune")
    assert tuning is not None
    ElementTree.SubElement(tuning, "emulatorpin", cpuset="1")
    domain_limits_xml._write_cpu_priority(root, "medium")
    assert domain_limits_xml.read_cpu_priority(root) == "medium"
    assert tuning.find("emulatorpin") is not None


def test_parameters_for_a_running_guest() -> None:
    assert domain_limits_xml.scheduler_parameters("medium") == {
        "cpu_shares": 1000, "vcpu_period": 1000000, "vcpu_quota": 500000,
    }  # fmt: skip
    assert domain_limits_xml.block_parameters(DiskLimits(read_iops_sec=1)) == {
        "read_bytes_sec": 0, "write_bytes_sec": 0, "read_iops_sec": 1, "write_iops_sec": 0,
    }  # fmt: skip
    parameters = domain_limits_xml.interface_parameters(NetworkLimits(0, 4096))
    assert parameters["inbound.average"] == 0
    assert [parameters[f"outbound.{name}"] for name in ("average", "peak", "burst")] == [4, 8, 4]
