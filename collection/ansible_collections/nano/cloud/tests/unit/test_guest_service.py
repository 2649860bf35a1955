# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests created, changed and removed on libvirt's own test driver."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import (
    domain_xml,
    guest_creation,
    guest_defaults,
    volume_xml,
)
from ansible_collections.nano.cloud.plugins.module_utils.errors import (
    CloudError,
    Conflict,
    HypervisorError,
    InvalidInput,
    NoSpace,
    NotFound,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_reader import read_guests
from ansible_collections.nano.cloud.plugins.module_utils.guest_service import (
    GuestOutcome,
    ensure_absent,
    ensure_present,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_storage import Pool
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Terminated

from .guests import FOREIGN, GIB, GUEST_ID, MIB, new_request, request


def present(host: LibvirtHost, check_mode: bool = False, **options: Any) -> GuestOutcome:
    return ensure_present(host, new_request(**options), check_mode, 1)


def change(host: LibvirtHost, check_mode: bool = False, **options: Any) -> GuestOutcome:
    return ensure_present(host, request(**options), check_mode, 1)


def absent(host: LibvirtHost, force: bool = False, **options: Any) -> GuestOutcome:
    return ensure_absent(host, request(**options), force, False, 1)


def volumes(host: LibvirtHost, pool: str = "default") -> list[str]:
    found = host.find_pool(pool)
    assert found is not None
    return sorted(volume.name for volume in found.volumes())


def add_volume(host: LibvirtHost, pool: str, spec: volume_xml.VolumeSpec) -> None:
    found = host.find_pool(pool)
    assert found is not None
    found.create_volume(volume_xml.build(spec))


def add_image(host: LibvirtHost, name: str = "deb.qcow2", size: int = GIB) -> None:
    add_volume(host, "nano-images", volume_xml.VolumeSpec(name, size))


def test_created_once_then_unchanged(host: LibvirtHost) -> None:
    first = present(host, owner="admin", auto_start=True)
    assert first.created
    assert first.differences.changed
    assert first.guest is not None
    assert (first.guest["owner"], first.guest["auto_start"]) == ("admin", True)
    assert not first.guest["incomplete"]
    assert first.guest["disks"][0]["size_bytes"] == GIB
    assert volumes(host) == [f"{GUEST_ID}_sys.qcow2"]
    second = present(host, owner="admin", auto_start=True)
    assert not second.differences.changed
    assert not second.created
    assert second.guest == first.guest


def test_check_mode_creates_nothing_and_foretells_the_guest(host: LibvirtHost) -> None:
    foretold = present(host, check_mode=True)
    assert foretold.differences.changed
    assert host.find_domain(GUEST_ID, None) is None
    assert volumes(host) == []
    assert foretold.differences == present(host).differences


def test_id_is_made_when_none_is_given(host: LibvirtHost) -> None:
    first = present(host, id=None)
    assert first.guest is not None
    assert present(host, id=None).guest == first.guest


def test_an_overlay_names_its_image_and_format(host: LibvirtHost) -> None:
    add_image(host)
    made = present(host, disks=[{"size_bytes": 2 * GIB, "image": "deb"}])
    assert made.guest is not None
    assert made.guest["disks"][0]["image"] == "deb"
    pool = host.find_pool("default")
    assert pool is not None
    disk = volume_xml.parse(pool.volumes()[0].xml())
    assert disk.backing_path.endswith("/nano-images/deb.qcow2")
    assert (disk.backing_format, disk.size_bytes) == ("qcow2", 2 * GIB)


def test_images_that_cannot_be_used(host: LibvirtHost) -> None:
    with pytest.raises(NotFound, match="image deb"):
        present(host, disks=[{"size_bytes": GIB, "image": "deb"}])
    add_image(host, size=2 * GIB)
    with pytest.raises(InvalidInput, match=f"{GIB} but image deb needs {2 * GIB}"):
        present(host, disks=[{"size_bytes": GIB, "image": "deb"}])
    add_image(host, name="cd.iso")
    with pytest.raises(InvalidInput, match="ISO"):
        present(host, disks=[{"size_bytes": GIB, "image": "cd"}])
    assert host.find_domain(GUEST_ID, None) is None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pool": "nowhere"}, NotFound, "pool nowhere"),
        ({"disks": [{"size_bytes": 200 * GIB}]}, NoSpace, "available"),
        ({"disks": [{"size_bytes": 60 * GIB}] * 2}, NoSpace, "available"),
    ],
)
def test_refused_before_anything_is_made(
    host: LibvirtHost, options: dict[str, Any], error: type[CloudError], message: str
) -> None:
    with pytest.raises(error, match=message):
        present(host, **options)
    assert volumes(host) == []
    assert host.find_domain(GUEST_ID, None) is None


def test_names_and_macs_are_taken_once(host: LibvirtHost) -> None:
    present(host)
    other = "11111111-8b1c-4b7e-9a55-0d9d7c1f2e3a"
    with pytest.raises(Conflict, match=GUEST_ID):
        present(host, id=other)
    first = read_guests(host, GUEST_ID)[0]
    with pytest.raises(Conflict, match=r"network\.mac"):
        present(host, id=other, name="two", network={"mac": first["network"]["mac"]})
    assert volumes(host) == [f"{GUEST_ID}_sys.qcow2"]


@pytest.mark.parametrize("failure", [HypervisorError("disk on fire"), Terminated("SIGTERM")])
def test_a_failure_half_way_leaves_nothing(
    host: LibvirtHost, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    create, calls = Pool.create_volume, []

    def second_fails(pool: Pool, xml: str) -> Any:
        calls.append(xml)
        if len(calls) == 2:
            raise failure
        return create(pool, xml)

    monkeypatch.setattr(Pool, "create_volume", second_fails)
    with pytest.raises(type(failure)):
        present(host, disks=[{"size_bytes": GIB}] * 2)
    assert len(calls) == 2
    assert volumes(host) == []
    assert host.find_domain(GUEST_ID, None) is None


def begin_and_die(host: LibvirtHost, **options: Any) -> None:
    """What a run leaves that was killed after the domain and the first volume."""
    asked = new_request(**options)
    spec = guest_defaults.new_guest(asked, GUEST_ID, host.capabilities())
    host.define_domain(domain_xml.build(spec))
    add_volume(host, "default", volume_xml.VolumeSpec(f"{GUEST_ID}_sys.qcow2", GIB))


def test_a_killed_creation_is_completed(host: LibvirtHost) -> None:
    begin_and_die(host, disks=[{"size_bytes": GIB}] * 2)
    assert read_guests(host, GUEST_ID)[0]["incomplete"]
    done = present(host, disks=[{"size_bytes": GIB}] * 2)
    assert done.created
    assert done.guest is not None
    assert not done.guest["incomplete"]
    assert len(volumes(host)) == 2


def test_a_killed_creation_is_completed_as_now_asked(host: LibvirtHost) -> None:
    begin_and_die(host, name="before", disks=[{"size_bytes": GIB}] * 2)
    done = present(host, name="after", cores=4, disks=[{"size_bytes": 2 * GIB}])
    assert done.guest is not None
    assert (done.guest["name"], done.guest["cores"]) == ("after", 4)
    assert done.guest["disks"][0]["size_bytes"] == 2 * GIB
    assert volumes(host) == [f"{GUEST_ID}_sys.qcow2"]


def test_a_killed_creation_can_be_removed(host: LibvirtHost) -> None:
    begin_and_die(host)
    assert absent(host).differences.changed
    assert volumes(host) == []
    assert not absent(host).differences.changed


def test_volumes_without_a_guest(host: LibvirtHost) -> None:
    add_volume(host, "default", volume_xml.VolumeSpec(f"{GUEST_ID}_sys.qcow2", GIB))
    with pytest.raises(Conflict, match="may hold data"):
        present(host, disks=[{"size_bytes": 2 * GIB}])
    with pytest.raises(Conflict, match="may hold data"):
        present(host, check_mode=True, disks=[{"size_bytes": 2 * GIB}])
    assert present(host).created  # The right size: adopted.


def test_an_adopted_volume_survives_a_failure(
    host: LibvirtHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_volume(host, "default", volume_xml.VolumeSpec(f"{GUEST_ID}_sys.qcow2", GIB))

    def fails(_domain: Any) -> Any:
        raise HypervisorError("no")

    monkeypatch.setattr(guest_creation, "_whole", fails)
    with pytest.raises(HypervisorError):
        present(host)
    assert volumes(host) == [f"{GUEST_ID}_sys.qcow2"]
    assert host.find_domain(GUEST_ID, None) is None


def test_changes_in_place_of_a_running_guest(host: LibvirtHost) -> None:
    present(host)
    domain = host.find_domain(GUEST_ID, None)
    assert domain is not None
    domain.start()
    changed = change(host, cores=4, memory_bytes=512 * MIB, owner="o", auto_start=True)
    assert changed.differences.fields == ["owner", "cores", "memory_bytes", "auto_start"]
    assert changed.restart_required == ["cores", "memory_bytes"]
    assert changed.guest is not None
    assert changed.guest["state"] == "running"
    assert not change(host, cores=4, memory_bytes=512 * MIB, owner="o").differences.changed
    with pytest.raises(Conflict, match="stop it first to rename"):
        change(host, name="renamed")
    domain.destroy()
    assert change(host, name="renamed").differences.fields == ["name"]
    assert read_guests(host, None, "renamed")[0]["id"] == GUEST_ID


def test_check_mode_changes_nothing(host: LibvirtHost) -> None:
    before = present(host).guest
    foretold = change(host, check_mode=True, cores=4, disks=[{"size_bytes": GIB}] * 2)
    assert foretold.differences.as_diff()["after"]["cores"] == 4
    assert read_guests(host, GUEST_ID) == [before]
    assert len(volumes(host)) == 1


def test_a_disk_is_added(host: LibvirtHost) -> None:
    present(host)
    changed = change(host, disks=[{"size_bytes": GIB}, {"size_bytes": 2 * GIB}])
    assert changed.guest is not None
    assert [disk["size_bytes"] for disk in changed.guest["disks"]] == [GIB, 2 * GIB]


def test_what_would_lose_data_is_refused(host: LibvirtHost) -> None:
    present(host, disks=[{"size_bytes": 2 * GIB}])
    with pytest.raises(Conflict, match=r"disks\[0\]\.size_bytes.*shrinking"):
        change(host, disks=[{"size_bytes": GIB}])
    with pytest.raises(Conflict, match="never removed"):
        change(host, disks=[])


def test_passwords_are_kept_and_never_shown(host: LibvirtHost) -> None:
    present(host, display={"password": "first"})
    changed = change(host, cores=4)
    assert "first" not in str(changed)
    domain = host.find_domain(GUEST_ID, None)
    assert domain is not None
    assert "passwd='first'" in domain.inactive_xml(secure=True)
    changed = change(host, display={"password": "second"})
    assert changed.differences.fields == ["display"]
    assert "second" not in str(changed)


def test_removing(host: LibvirtHost) -> None:
    present(host)
    domain = host.find_domain(GUEST_ID, None)
    assert domain is not None
    domain.start()
    with pytest.raises(Conflict, match="force"):
        absent(host)
    add_volume(host, "default", volume_xml.VolumeSpec("someone-elses.qcow2", GIB))
    assert absent(host, force=True).differences.changed
    assert volumes(host) == ["someone-elses.qcow2"]
    assert not absent(host).differences.changed
    assert not absent(host, id=None).differences.changed


def test_a_guest_stays_while_its_disks_cannot_go(host: LibvirtHost) -> None:
    present(host)
    pool = host.find_pool("default")
    assert pool is not None
    pool.stop()
    with pytest.raises(Conflict, match="storage pool default is not active: start it first"):
        absent(host)
    assert not read_guests(host, GUEST_ID)[0]["incomplete"]
    # Of a pool that is gone for good nothing can be left behind.
    pool.undefine()
    assert absent(host).differences.changed
    assert host.find_domain(GUEST_ID, None) is None


def test_foreign_guests_are_listed_and_managed_when_changed(host: LibvirtHost) -> None:
    plain = FOREIGN.replace("type='kvm'", "type='test'", 1)
    foreign = host.define_domain(plain)
    shown = read_guests(host, foreign.id)[0]
    assert (shown["managed"], shown["disks"][0]["path"]) == (False, "/srv/elsewhere.qcow2")
    changed = ensure_present(host, request(id=foreign.id, name=None, owner="o"), False, 1)
    assert changed.differences.fields == ["owner", "managed"]
    assert "watchdog" in foreign.inactive_xml(secure=False)


def test_all_guests_are_read_in_one_pass(
    host: LibvirtHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 20
    for number in range(count):
        present(host, id=f"00000000-8b1c-4b7e-9a55-{number:012x}", name=f"g{number:03}")
    listings = []
    all_volumes = Pool.volumes
    monkeypatch.setattr(Pool, "volumes", lambda pool: listings.append(1) or all_volumes(pool))
    guests = [guest for guest in read_guests(host) if guest["managed"]]
    assert [guest["name"] for guest in guests] == [f"g{number:03}" for number in range(count)]
    assert all(guest["disks"][0]["size_bytes"] == GIB for guest in guests)
    assert len(listings) == 1


def test_incomplete_guests_do_not_count_as_complete(host: LibvirtHost) -> None:
    begin_and_die(host)
    spec = domain_xml.parse(host.find_domain(GUEST_ID, None).inactive_xml(False))  # type: ignore[union-attr]
    assert dataclasses.replace(spec, incomplete=False) != spec
