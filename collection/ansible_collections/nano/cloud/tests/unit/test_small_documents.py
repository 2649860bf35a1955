# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes, pools, capabilities, differences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import (
    host_capabilities,
    pool_xml,
    volume_xml,
)
from ansible_collections.nano.cloud.plugins.module_utils.differences import Differences
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.pool_spec import PoolSpec


@pytest.mark.parametrize(
    "spec",
    [
        volume_xml.VolumeSpec("a.qcow2", 2**30),
        volume_xml.VolumeSpec("a.raw", 2**30, "raw"),
        volume_xml.VolumeSpec("a.qcow2", 2**30, "qcow2", "/x/<&>.qcow2", "qcow2"),
    ],
)
def test_volumes(spec: volume_xml.VolumeSpec) -> None:
    assert volume_xml.parse(volume_xml.build(spec)) == spec


def test_backing_format_is_always_said() -> None:
    xml = volume_xml.build(volume_xml.VolumeSpec("a", 1, "qcow2", "/x.raw", "raw"))
    assert '<format type="raw" />' in xml


@pytest.mark.parametrize(
    "spec",
    [
        PoolSpec("a", "dir", "/var/lib/<x>"),
        PoolSpec("a", "nfs", "/mnt/a", "nas.example.org", "/export/<a>", ("nfsvers=4.2", "hard")),
        PoolSpec("a", "glusterfs", "/mnt/a", "192.0.2.1", "guests"),
        PoolSpec("a", "logical", "/dev/vg0", source="vg0"),
        PoolSpec(
            "a",
            "rbd",
            "",
            source="rbd",
            monitors=("m1", "192.0.2.3:6789", "[2001:db8::1]:3300"),
            ceph_user="libvirt",
            secret_uuid="6a2e3f10-0000-4000-8000-000000000000",
        ),
    ],
    ids=lambda spec: spec.type,
)
def test_pools(spec: PoolSpec, host: LibvirtHost) -> None:
    xml = pool_xml.build(spec)
    assert pool_xml.parse(xml) == spec
    assert pool_xml.is_shared(xml) == (spec.type in ("nfs", "glusterfs", "rbd"))
    taken = host.define_pool(xml).xml()
    # What libvirt makes of it; its test driver alone knows no mount options.
    assert pool_xml.parse(taken) == replace(spec, mount_options=())
    assert pool_xml.same_content(xml, taken) == pool_xml.is_shared(xml)


def test_pools_on_other_servers_are_not_the_same() -> None:
    one, two = (
        pool_xml.build(PoolSpec("a", "nfs", "/mnt/a", host, "/export/a")) for host in ("h1", "h2")
    )
    assert not pool_xml.same_content(one, two)
    xml = pool_xml.with_mount_options(one, ("ro",))
    assert pool_xml.parse(xml).mount_options == ("ro",)
    assert pool_xml.parse(pool_xml.with_mount_options(xml, ())).mount_options == ()


CAPABILITIES = """
<capabilities><host><cpu><arch>x86_64</arch></cpu></host>
  <guest><os_type>hvm</os_type><arch name='i686'><domain type='xen'/></arch></guest>
  <guest><os_type>hvm</os_type><arch name='x86_64'><emulator>/usr/bin/qemu</emulator>
    <domain type='qemu'/><domain type='kvm'/></arch></guest>
</capabilities>
"""


@pytest.mark.parametrize(("works", "types"), [(True, ("kvm", "qemu")), (False, ("qemu",))])
def test_kvm_counts_only_where_it_works(works: bool, types: tuple[str, ...]) -> None:
    found = host_capabilities.parse_capabilities(CAPABILITIES, works)
    assert (found.arch, found.domain_types, found.emulator) == ("x86_64", types, "/usr/bin/qemu")
    assert found.best_domain_type == types[0]


@pytest.mark.parametrize(
    ("arch", "cpuinfo", "expected"),
    [
        ("x86_64", "flags\t\t: fpu vmx sse\n", True),
        ("x86_64", "flags\t\t: fpu svm sse\n", True),
        ("x86_64", "flags\t\t: fpu avmx\n", False),
        ("x86_64", "bugs : vmx\n", False),
        ("aarch64", "Features : fp\n", True),
    ],
)
def test_processor_flags(arch: str, cpuinfo: str, expected: bool) -> None:
    assert host_capabilities.cpu_can_virtualise(arch, cpuinfo) is expected


def test_differences_name_what_differs_and_nothing_else() -> None:
    found = Differences({"a": 1, "b": 2, "gone": 3}, {"a": 1, "b": 4, "new": None})
    assert found.changed
    assert found.fields == ["b", "gone", "new"]
    assert found.as_diff() == {"before": {"b": 2, "gone": 3}, "after": {"b": 4, "new": None}}


def test_no_differences() -> None:
    assert not Differences({"a": [1]}, {"a": [1]}).changed
    assert Differences({}, {}).as_diff() == {"before": {}, "after": {}}
