# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest gets where its request is silent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import guest_defaults
from ansible_collections.nano.cloud.plugins.module_utils.errors import Conflict, InvalidInput
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import CpuTopology, GuestSpec
from ansible_collections.nano.cloud.plugins.module_utils.host_capabilities import HostCapabilities

from .guests import GIB, GUEST_ID, new_request, request

HOST = HostCapabilities("x86_64", ("kvm", "qemu"))


def made(**options: Any) -> GuestSpec:
    spec = guest_defaults.new_guest(new_request(**options), GUEST_ID, HOST)
    return replace(spec, incomplete=False)


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, (1, 1, 1)),
        (2, (1, 1, 2)),
        (4, (1, 2, 2)),
        (64, (1, 32, 2)),
        (66, (1, 33, 2)),
        (128, (2, 32, 2)),
        (132, (2, 33, 2)),
        (136, (4, 17, 2)),
        (254, (1, 127, 2)),
    ],
)
def test_topology(cores: int, expected: tuple[int, int, int]) -> None:
    topology = guest_defaults.cpu_topology(cores)
    assert topology == CpuTopology(*expected)
    assert topology.sockets * topology.cores * topology.threads == cores


def test_a_new_guest_is_complete_but_for_its_volumes() -> None:
    spec = guest_defaults.new_guest(new_request(), GUEST_ID, HOST)
    assert spec.incomplete
    assert (spec.domain_type, spec.machine, spec.disk_bus) == ("kvm", "pc", "scsi")
    assert spec.network is not None
    assert (spec.network.bridge, spec.network.model) == ("br0", "virtio")
    assert spec.display is not None
    assert (spec.display.protocol, spec.display.listen) == ("vnc", "127.0.0.1")


@pytest.mark.parametrize("missing", ["name", "cores", "memory_bytes"])
def test_what_has_no_default(missing: str) -> None:
    with pytest.raises(InvalidInput, match=missing):
        guest_defaults.new_guest(new_request(**{missing: None}), GUEST_ID, HOST)


@pytest.mark.parametrize(
    ("asked", "expected"), [(None, "qemu"), ("auto", "kvm"), ("kvm", "kvm"), ("qemu", "qemu")]
)
def test_domain_type_is_kept_until_asked(asked: str | None, expected: str) -> None:
    found = made(domain_type="qemu")
    changed = guest_defaults.changed_guest(request(domain_type=asked), found, HOST)
    assert changed.domain_type == expected


def test_silence_changes_nothing() -> None:
    found = made(owner="o", video="qxl", display={"password": "x"})
    assert guest_defaults.changed_guest(request(), found, HOST) == found


def test_parts_of_network_and_display_change_alone() -> None:
    found = made(display={"password": "x", "port": 5901})
    changed = guest_defaults.changed_guest(
        request(network={"model": "e1000"}, display={"port": 0, "password": ""}), found, HOST
    )
    assert changed.network is not None
    assert found.network is not None
    assert changed.network == replace(found.network, model="e1000")
    assert changed.display == replace(found.display, port=None, password=None)  # type: ignore[type-var]


def test_disks_are_added_but_never_removed_or_replaced() -> None:
    found = made(disks=[{"size_bytes": GIB, "image": "a"}, {"size_bytes": GIB}])
    grown = guest_defaults.changed_guest(request(disks=[{"size_bytes": GIB}] * 3), found, HOST)
    assert grown.disks[:2] == found.disks
    assert grown.disks[2].volume == f"{GUEST_ID}_1.qcow2"
    with pytest.raises(Conflict, match="never removed"):
        guest_defaults.changed_guest(request(disks=[{"size_bytes": GIB}]), found, HOST)
    with pytest.raises(Conflict, match=r"disks\[0\]\.image"):
        guest_defaults.changed_guest(
            request(disks=[{"size_bytes": GIB, "image": "b"}, {"size_bytes": GIB}]), found, HOST
        )
    with pytest.raises(Conflict, match="not moved"):
        guest_defaults.changed_guest(request(pool="other"), found, HOST)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"disk_bus": "ide", "disks": [{"size_bytes": GIB}] * 3}, "disk_bus"),
        ({"display": {"password": "123456789"}}, "password"),
    ],
)
def test_what_does_not_fit_together(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        made(**options)


def test_no_ide_without_an_ide_controller() -> None:
    arm = HostCapabilities("aarch64", ("qemu",))
    with pytest.raises(InvalidInput, match="no IDE"):
        guest_defaults.new_guest(new_request(disk_bus="ide"), GUEST_ID, arm)
