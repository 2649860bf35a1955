# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the module guest: checked, canonical, named in the message when refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils.errors import InvalidInput
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import (
    DiskRequest,
    guest_request,
    has_ide,
)

from .guests import GIB, MIB, request


def test_silence_asks_for_nothing() -> None:
    asked = request()
    assert (asked.cores, asked.disks, asked.owner, asked.agent) == (None, None, None, None)


def test_sizes_are_rounded_up_to_what_the_hypervisor_can_do() -> None:
    asked = request(memory_bytes=16 * MIB + 1, disks=[{"size_bytes": GIB + 1}])
    assert asked.memory_bytes == 17 * MIB
    assert asked.disks == (DiskRequest(GIB + 512),)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"cores": 0}, "cores"),
        ({"cores": 3}, "cores"),
        ({"cores": 256}, "cores"),
        ({"memory_bytes": 16 * MIB - 1}, "memory_bytes"),
        ({"memory_bytes": 2**60}, "memory_bytes"),
        ({"name": "a b"}, "name"),
        ({"id": "1"}, "id"),
        ({"owner": "a\nb"}, "owner"),
        ({"pool": "../x"}, "pool"),
        ({"image_pool": "a/b"}, "image_pool"),
        ({"disks": [{"size_bytes": 1}]}, r"disks\[0\]\.size_bytes"),
        ({"disks": [{"size_bytes": 2**70}]}, r"disks\[0\]\.size_bytes"),
        ({"disks": [{"size_bytes": GIB}] * 16}, "disks"),
        ({"disks": [{"size_bytes": GIB, "image": "../x"}]}, r"disks\[0\]\.image"),
        ({"disks": [{"size_bytes": GIB}, {"size_bytes": GIB, "image": "x"}]}, r"disks\[1\]\.image"),
        ({"disks": [{"size_bytes": GIB, "full_copy": True}]}, r"disks\[0\]\.full_copy"),
        ({"network": {"mac": "x"}}, r"network\.mac"),
        ({"network": {"bridge": "br 0"}}, r"network\.bridge"),
        ({"cloud_init": {"hostname": "a.b"}}, r"cloud_init\.hostname"),
        ({"cloud_init": {"instance_id": "a b"}}, r"cloud_init\.instance_id"),
        ({"cloud_init": {"data_path": "/a/../b"}}, r"cloud_init\.data_path"),
        ({"cloud_init": {"data_path": "/a;b"}}, r"cloud_init\.data_path"),
        ({"cloud_init": {"user_data": "hello"}}, r"cloud_init\.user_data"),
        ({"cloud_init": {"users": [{"name": "a:b"}]}}, r"cloud_init\.users\[0\]\.name"),
        ({"cloud_init": {"users": [{"name": "a"}] * 2}}, r"cloud_init\.users\[1\]\.name"),
        (
            {"cloud_init": {"users": [{"name": "a", "password": "p", "password_hash": "h"}]}},
            r"cloud_init\.users\[0\]",
        ),
        (
            {"cloud_init": {"users": [{"name": "a", "password_hash": "clear"}]}},
            r"cloud_init\.users\[0\]\.password_hash",
        ),
        (
            {"cloud_init": {"users": [{"name": "a", "ssh_keys": ["key"]}]}},
            r"cloud_init\.users\[0\]\.ssh_keys",
        ),
        ({"cloud_init": {"network": {"addresses": ["192.0.2.1"]}}}, r"network\.addresses\[0\]"),
        ({"cloud_init": {"network": {"gateways": ["192.0.2.1"]}}}, r"network\.gateways"),
        ({"cloud_init": {"network": {"dns": ["x"]}}}, r"network\.dns"),
        ({"disk_limits": {"read_iops_sec": -1}}, r"disk_limits\.read_iops_sec"),
        ({"network_limits": {"send_bytes_sec": 2**50}}, r"network_limits\.send_bytes_sec"),
        ({"display": {"port": 80}}, r"display\.port"),
        ({"display": {"listen": "host"}}, r"display\.listen"),
        ({"display": {"password": "a\x00"}}, r"display\.password"),
    ],
)
def test_refused_with_the_name_of_the_option(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=field) as caught:
        request(**options)
    assert caught.value.context["field"]


def test_name_or_id() -> None:
    with pytest.raises(InvalidInput, match="name or id"):
        guest_request({})


def test_machines_with_ide() -> None:
    assert has_ide("pc")
    assert has_ide("pc-i440fx-7.2")
    assert not has_ide("pc-q35-7.2")
    assert not has_ide("virt")
