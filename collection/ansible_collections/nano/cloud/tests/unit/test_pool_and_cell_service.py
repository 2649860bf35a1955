# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools and the host on libvirt's own test driver."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import cell_service, volume_xml
from ansible_collections.nano.cloud.plugins.module_utils.errors import (
    Conflict,
    InvalidInput,
    Unsupported,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.pool_reader import read_pool_details
from ansible_collections.nano.cloud.plugins.module_utils.pool_service import (
    PoolOutcome,
    ensure_pool_absent,
    ensure_pool_present,
)
from ansible_collections.nano.cloud.plugins.module_utils.pool_spec import PoolRequest, pool_request


def present(libvirt: LibvirtHost, check_mode: bool = False, **more: Any) -> PoolOutcome:
    basis = {"name": "p", "type": "dir", "path": "/srv/p", "autostart": True, "active": True}
    return ensure_pool_present(libvirt, PoolRequest(**{**basis, **more}), check_mode, 1)


def absent(host: LibvirtHost, force: bool = False, check_mode: bool = False) -> PoolOutcome:
    request = PoolRequest("p", "dir", None, True, True)
    return ensure_pool_absent(host, request, force, check_mode, 1)


def test_made_once_then_unchanged(host: LibvirtHost) -> None:
    foretold = present(host, check_mode=True)
    assert foretold.pool is None
    assert host.find_pool("p") is None
    done = present(host)
    assert done.differences == foretold.differences
    assert done.pool is not None
    assert (done.pool["state"], done.pool["autostart"]) == ("active", True)
    assert not present(host).differences.changed
    assert not present(host, path=None).differences.changed


def test_changed_in_place(host: LibvirtHost) -> None:
    present(host)
    changed = present(host, active=False, autostart=False)
    assert changed.differences.fields == ["autostart", "active"]
    assert changed.pool is not None
    assert changed.pool["state"] == "inactive"
    with pytest.raises(Conflict, match="path"):
        present(host, path="/elsewhere")


def test_path_is_needed_to_make_one(host: LibvirtHost) -> None:
    with pytest.raises(InvalidInput, match="path is required"):
        present(host, path=None)


def test_removing(host: LibvirtHost) -> None:
    present(host)
    pool = host.find_pool("p")
    assert pool is not None
    pool.create_volume(volume_xml.build(volume_xml.VolumeSpec("v.qcow2", 2**20)))
    with pytest.raises(Conflict, match=r"v\.qcow2"):
        absent(host)
    assert absent(host, force=True, check_mode=True).differences.changed
    assert host.find_pool("p") is not None
    assert absent(host, force=True).differences.changed
    assert not absent(host).differences.changed


NFS = {"type": "nfs", "path": None, "host": "127.0.0.1", "source": "/export/a"}


def test_what_a_server_exports(host: LibvirtHost) -> None:
    made = present(host, **NFS)
    assert made.pool is not None
    assert (made.pool["path"], made.pool["shared"]) == ("/var/lib/libvirt/storage/p", True)
    assert not present(host, **NFS).differences.changed
    with pytest.raises(Conflict, match=r"has host 127\.0\.0\.1, not 127\.0\.0\.2"):
        present(host, **{**NFS, "host": "127.0.0.2"})
    with pytest.raises(Conflict, match="has type nfs, not glusterfs"):
        present(host, **{**NFS, "type": "glusterfs"})
    pool = host.find_pool("p")
    assert pool is not None
    pool.create_volume(volume_xml.build(volume_xml.VolumeSpec("others.qcow2", 2**20)))
    # What is there may be other hosts'; what this host's guests use is not let go.
    assert absent(host, check_mode=True).differences.changed
    host.define_domain(
        "<domain type='test'><name>user</name><memory>9000</memory><os><type>hvm</type></os>"
        "<devices><disk type='volume'><source pool='p' volume='others.qcow2'/>"
        "<target dev='sda'/></disk></devices></domain>"
    )
    with pytest.raises(Conflict, match=r"used by 1 guests \(user\)"):
        absent(host)
    found = read_pool_details(host, "p", refresh=True, volumes=True)[0]
    assert found["guests"] == ["user"]
    assert [volume["name"] for volume in found["volumes"]] == ["others.qcow2"]
    assert absent(host, force=True).differences.changed


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"type": "nfs", "source": "/x"}, "host is required"),
        ({"type": "nfs", "host": "h"}, "source is required"),
        ({"type": "nfs", "host": "-o", "source": "/x"}, "no name or address"),
        ({"type": "nfs", "host": "h", "source": "x"}, "absolute path"),
        ({"type": "nfs", "host": "h", "source": "/x", "mount_options": ["a,b"]}, "one option"),
        ({"type": "glusterfs", "host": "h", "source": "a/b"}, "no name"),
        ({"type": "dir", "path": "/x", "host": "h"}, "host is not an option of"),
        ({"type": "rbd", "source": "p"}, "monitors is required"),
        ({"type": "logical"}, "source is required"),
        ({"type": "dir", "path": "/x", "mode": "rwx"}, "not octal"),
    ],
)
def test_what_cannot_be_a_pool(host: LibvirtHost, options: dict[str, Any], told: str) -> None:
    basis = {"name": "p", "autostart": True, "active": True}
    with pytest.raises(InvalidInput, match=told):
        ensure_pool_present(host, pool_request({**basis, **options}), True, 1)


def test_cell(host: LibvirtHost) -> None:
    cell = cell_service.read_cell(host)
    assert cell["cores"] == 16
    assert cell["domain_types"] == ["test"]
    assert [pool["name"] for pool in cell["pools"]] == ["default", "default-pool", "nano-images"]
    assert cell["guests_running"] == 1
    assert cell["disk_bytes"] == cell["pools"][0]["capacity_bytes"] > 0


def test_processor_use_from_two_looks(host: LibvirtHost, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter(
        [
            {"kernel": 100, "user": 100, "idle": 100, "iowait": 0},
            {"kernel": 110, "user": 120, "idle": 160, "iowait": 10},
        ]
    )
    monkeypatch.setattr(LibvirtHost, "cpu_statistics", lambda _self: next(looks))
    assert cell_service._cpu_usage_percent(host) == 30.0


def test_what_a_host_cannot_tell_is_null(
    host: LibvirtHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_self: LibvirtHost) -> Any:
        raise Unsupported("no")

    monkeypatch.setattr(LibvirtHost, "memory_statistics", refuses)
    monkeypatch.setattr(LibvirtHost, "cpu_statistics", refuses)
    cell = cell_service.read_cell(host)
    assert (cell["memory_available_bytes"], cell["cpu_usage_percent"]) == (None, None)
