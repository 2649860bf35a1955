# SPDX-License-Identifier: GPL-3.0-or-later
"""One disk of a guest, on libvirt's test driver: its options, its number, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import disk_record, domain_xml, names
from ansible_collections.nano.cloud.plugins.module_utils.errors import CloudError, InvalidInput
from ansible_collections.nano.cloud.plugins.module_utils.guest_auth_service import set_password
from ansible_collections.nano.cloud.plugins.module_utils.guest_auth_spec import (
    AUTH_ARGUMENTS,
    auth_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_disk_service import (
    DiskOutcome,
    ensure_disk,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_disk_spec import (
    DISK_ARGUMENTS,
    disk_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_service import (
    ensure_absent,
    ensure_present,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.names import volume_name
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_tree import (
    GuestVolume,
    Snapshot,
    SnapshotTree,
)

from .guests import GUEST_ID, MIB, new_request, request

POOL = "default"


def defaults(arguments: dict[str, dict[str, Any]], **options: Any) -> dict[str, Any]:
    return {**{name: each.get("default") for name, each in arguments.items()}, **options}


def disk(host: LibvirtHost, number: int, check_mode: bool = False, **options: Any) -> DiskOutcome:
    params = defaults(DISK_ARGUMENTS, id=GUEST_ID, disk=number, **options)
    return ensure_disk(host, disk_request(params), check_mode, 1)


def twice(host: LibvirtHost, number: int, **options: Any) -> dict[int, int]:
    """In check mode, really, and again; the sizes by number."""
    foretold = disk(host, number, check_mode=True, **options)
    real = disk(host, number, **options)
    assert foretold.differences == real.differences
    assert real.differences.changed
    assert not disk(host, number, **options).differences.changed
    return {each["number"]: each["size_bytes"] for each in real.guest["disks"]}


@pytest.fixture
def guest(host: LibvirtHost) -> LibvirtHost:
    wanted = new_request(disks=[{"size_bytes": 64 * MIB}, {"size_bytes": MIB}])
    ensure_present(host, wanted, False, 1)
    return host


def volumes(host: LibvirtHost) -> set[str]:
    pool = host.find_pool(POOL)
    assert pool is not None
    return {volume.name.removeprefix(f"{GUEST_ID}_") for volume in pool.volumes()}


def test_disks_keep_their_numbers(guest: LibvirtHost) -> None:
    assert twice(guest, 2, size_bytes=2 * MIB) == {0: 64 * MIB, 1: MIB, 2: 2 * MIB}
    # This driver cannot resize.
    assert disk(guest, 2, check_mode=True, size_bytes=3 * MIB).differences.changed
    assert twice(guest, 1, state="absent") == {0: 64 * MIB, 2: 2 * MIB}
    assert volumes(guest) == {"sys.qcow2", "0.qcow2", "1.qcow2"}
    # The module for whole guests does not take the place of the one that went.
    sizes = [{"size_bytes": size} for size in (64 * MIB, 2 * MIB, 4 * MIB)]
    ensure_present(guest, request(disks=sizes), False, 1)
    assert volumes(guest) == {"sys.qcow2", "0.qcow2", "1.qcow2", "2.qcow2"}
    assert twice(guest, 1)[1] == MIB
    assert twice(guest, 1, state="absent", delete_volume=True).get(1) is None
    assert volumes(guest) == {"sys.qcow2", "1.qcow2", "2.qcow2"}
    ensure_absent(guest, request(), False, False, 1)
    assert volumes(guest) == set()


def test_a_volume_that_was_kept_can_still_be_deleted(guest: LibvirtHost) -> None:
    disk(guest, 1, state="absent")
    twice(guest, 1, state="absent", delete_volume=True)
    assert volumes(guest) == {"sys.qcow2"}


@pytest.mark.parametrize(
    ("number", "options", "code", "message"),
    [
        (1, {"size_bytes": MIB // 2 * 2 - 512}, "invalid_input", "size_bytes"),
        (0, {"size_bytes": 2 * MIB}, "conflict", "shrinking it would lose data"),
        (3, {}, "invalid_input", "size_bytes is required"),
        (0, {"state": "compacted"}, "unsupported", "on the libvirt host itself"),
        (7, {"state": "compacted"}, "not_found", "has no disk 7"),
        (0, {"state": "reset", "image": "x"}, "unsupported", "on the libvirt host itself"),
    ],
)
def test_refused(
    guest: LibvirtHost, number: int, options: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(CloudError, match=message) as refused:
        disk(guest, number, **options)
    assert refused.value.code == code
    assert volumes(guest) == {"sys.qcow2", "0.qcow2"}


def test_a_disk_in_a_snapshot_stays(guest: LibvirtHost) -> None:
    domain = guest.find_domain(GUEST_ID, None)
    assert domain is not None
    spec = domain_xml.parse(domain.inactive_xml(secure=True))
    frozen = tuple(GuestVolume(POOL, volume_name(GUEST_ID, number)) for number in (0, 1))
    tree = SnapshotTree((Snapshot("one", volumes=frozen),), current="one")
    guest.define_domain(
        domain_xml.edit(domain.inactive_xml(secure=True), replace(spec, snapshots=tree))
    )
    with pytest.raises(CloudError, match="has snapshots with a state of disk 1"):
        disk(guest, 1, state="absent")
    with pytest.raises(CloudError, match="has snapshots of its system disk"):
        disk(guest, 0, state="reset", image="x")


def test_a_running_guest_is_not_rewritten(guest: LibvirtHost) -> None:
    domain = guest.find_domain(GUEST_ID, None)
    assert domain is not None
    domain.start()
    with pytest.raises(CloudError, match="is running: stop it first"):
        disk(guest, 0, state="compacted")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"id": None}, "name"),
        ({"disk": -1}, "disk"),
        ({"disk": 15}, "disk"),
        ({"disk": 0, "state": "absent"}, "disk"),
        ({"disk": 1, "state": "reset", "image": "x"}, "disk"),
        ({"disk": 0, "state": "reset"}, "image"),
        ({"image": "x"}, "image"),
        ({"image": "../x", "state": "reset", "disk": 0}, "image"),
        ({"wait_seconds": -1}, "wait_seconds"),
        ({"size_bytes": 1}, "size_bytes"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], field: str) -> None:
    good = defaults(DISK_ARGUMENTS, id=GUEST_ID, disk=1)
    assert disk_request({**good, "size_bytes": MIB + 1}).size_bytes == MIB + 512
    with pytest.raises(InvalidInput) as refused:
        disk_request({**good, **options})
    assert refused.value.context == {"field": field}


def test_a_record_is_true_until_the_file_is_written_to(tmp_path: Any) -> None:
    file = tmp_path / "disk"
    file.write_bytes(b"one")
    volume = f"{GUEST_ID}_sys.qcow2"
    assert not disk_record.is_untouched(volume, str(file), "compacted")
    disk_record.remember(volume, str(file), "compacted")
    assert disk_record.is_untouched(volume, str(file), "compacted")
    assert not disk_record.is_untouched(volume, str(file), "reset x layer")
    file.write_bytes(b"two!")
    assert not disk_record.is_untouched(volume, str(file), "compacted")
    disk_record.remember(volume, str(file), "compacted")
    disk_record.forget_all(GUEST_ID)
    assert not disk_record.is_untouched(volume, str(file), "compacted")


@pytest.mark.parametrize(("volume", "number"), [("sys", 0), ("0", 1), ("3.12", 4), ("x", None)])
def test_numbers_of_volumes(volume: str, number: int | None) -> None:
    assert names.disk_number(GUEST_ID, f"{GUEST_ID}_{volume}.qcow2") == number


def account(**options: Any) -> dict[str, Any]:
    return defaults(AUTH_ARGUMENTS, id=GUEST_ID, user="root", password="Choose-1", **options)


def test_a_password_needs_a_running_guest_with_an_agent(guest: LibvirtHost) -> None:
    with pytest.raises(CloudError, match="start it first") as refused:
        set_password(guest, auth_request(account()), True, 1)
    assert refused.value.code == "conflict"
    domain = guest.find_domain(GUEST_ID, None)
    assert domain is not None
    domain.start()
    with pytest.raises(CloudError, match="no agent answers") as refused:
        set_password(guest, auth_request(account(timeout_seconds=0)), True, 1)
    assert refused.value.code == "unreachable"
    domain.destroy()
    ensure_present(guest, request(agent=False), False, 1)
    domain.start()
    with pytest.raises(CloudError, match="no channel to a guest agent") as refused:
        set_password(guest, auth_request(account()), True, 1)
    assert refused.value.code == "unsupported"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"id": None}, "name"),
        ({"user": ""}, "user"),
        ({"user": "a:b"}, "user"),
        ({"user": "a\nb"}, "user"),
        ({"password": ""}, "password"),
        ({"password": "a\nroot:b"}, "password"),
        ({"password": "x" * 513}, "password"),
        ({"timeout_seconds": -1}, "timeout_seconds"),
    ],
)
def test_accounts_that_cannot_work(options: dict[str, Any], field: str) -> None:
    made = auth_request(account())
    assert "Choose-1" not in repr(made)
    with pytest.raises(InvalidInput) as refused:
        auth_request({**account(), **options})
    assert refused.value.context == {"field": field}
    assert "root:b" not in refused.value.message
