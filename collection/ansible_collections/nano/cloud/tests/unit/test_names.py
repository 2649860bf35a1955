# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for the words that users choose."""

from __future__ import annotations

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import names
from ansible_collections.nano.cloud.plugins.module_utils.errors import InvalidInput

GUEST_ID = "6a2e3f10-8b1c-4b7e-9a55-0d9d7c1f2e3a"


@pytest.mark.parametrize("name", ["a", "admin.web-1", "A_b", "x" * 128, "-x", "a..b"])
def test_guest_names(name: str) -> None:
    assert names.check_guest_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "x" * 129, "a b", "a/b", "..", ".", "a\n", "ä", "{{ x }}", "a\0", "../x"]
)
def test_bad_guest_names(name: str) -> None:
    with pytest.raises(InvalidInput, match="guest name"):
        names.check_guest_name(name)


def test_guest_id_is_made_canonical() -> None:
    assert names.check_guest_id(GUEST_ID.upper()) == GUEST_ID
    with pytest.raises(InvalidInput, match="not a UUID"):
        names.check_guest_id("6a2e")


@pytest.mark.parametrize("given", ["00:16:3E:AA:bb:0C", "00-16-3e-aa-bb-0c"])
def test_mac_is_made_canonical(given: str) -> None:
    assert names.check_mac(given) == "00:16:3e:aa:bb:0c"


@pytest.mark.parametrize("mac", ["01:16:3e:aa:bb:0c", "ff:ff:ff:ff:ff:ff", "00:16:3e", "x", ""])
def test_bad_macs(mac: str) -> None:
    with pytest.raises(InvalidInput, match=r"network\.mac"):
        names.check_mac(mac)


def test_mac_of_a_guest_is_its_own_and_always_the_same() -> None:
    assert names.mac_of(GUEST_ID) == names.mac_of(GUEST_ID)
    assert names.mac_of(GUEST_ID) != names.mac_of(GUEST_ID[::-1])
    assert names.check_mac(names.mac_of(GUEST_ID)).startswith("00:16:3e:")


@pytest.mark.parametrize(
    "text", ["a\nb", "a\tb", "\x1b[31m", "\u2028", "\x00", "\ud800", "\ufffe", "x" * 257]
)
def test_text_without_tricks(text: str) -> None:
    with pytest.raises(InvalidInput, match="owner"):
        names.check_text(text, "owner")


def test_text_of_any_script() -> None:
    assert names.check_text(" <b>&'\" Ω 部門 {{ x }} ", "owner") == " <b>&'\" Ω 部門 {{ x }} "


@pytest.mark.parametrize("path", ["", "/", "x", "/a/../b", "/a/./b", "../a", "/a\nb"])
def test_bad_paths(path: str) -> None:
    with pytest.raises(InvalidInput, match="path"):
        names.check_absolute_path(path)


def test_path_is_normalised() -> None:
    assert names.check_absolute_path("/var//lib/x/") == "/var/lib/x"


def test_checksums() -> None:
    assert names.check_checksum("SHA256:" + "A" * 64) == ("sha256", "a" * 64)
    for bad in ("a" * 64, "md5:" + "a" * 32, "sha256:" + "a" * 63, "sha256:" + "g" * 64):
        with pytest.raises(InvalidInput, match="checksum"):
            names.check_checksum(bad)


@pytest.mark.parametrize("name", ["../x", ".hidden", "a/b", "", "-rf", "a b"])
def test_bad_pool_and_image_names(name: str) -> None:
    with pytest.raises(InvalidInput):
        names.check_pool_name(name)
    with pytest.raises(InvalidInput):
        names.check_image_id(name)


def test_layers_and_memory_are_the_guests_too() -> None:
    for slot in ("sys", "0", "12"):
        layer = names.layer_name(GUEST_ID, slot, 7)
        assert names.is_volume_of(GUEST_ID, layer)
        assert (names.disk_slot(GUEST_ID, layer), names.layer_number(GUEST_ID, layer)) == (slot, 7)
    first = names.volume_name(GUEST_ID, 1)
    assert (names.disk_slot(GUEST_ID, first), names.layer_number(GUEST_ID, first)) == ("0", 0)
    memory = names.memory_name(GUEST_ID, 3)
    assert names.is_volume_of(GUEST_ID, memory)
    assert (names.disk_slot(GUEST_ID, memory), names.layer_number(GUEST_ID, memory)) == (None, 3)
    for other in ("sys.qcow2", f"{GUEST_ID}_sys..qcow2", f"{GUEST_ID}_memory.save", "a_0.1.qcow2"):
        assert not names.is_volume_of(GUEST_ID, other)
        assert names.disk_slot(GUEST_ID, other) is None


@pytest.mark.parametrize("name", ["before 1.0", "枝", "a" * 128, "{{ x }}", "<&>", ".a"])
def test_names_of_snapshots(name: str) -> None:
    assert names.check_snapshot_name(name) == name


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a/b", ".", "..", "a\n", "a" * 129])
def test_no_names_of_snapshots(name: str) -> None:
    with pytest.raises(InvalidInput, match="snapshot"):
        names.check_snapshot_name(name)


def test_volume_names_are_recognised() -> None:
    assert names.volume_name(GUEST_ID, 0) == f"{GUEST_ID}_sys.qcow2"
    assert names.volume_name(GUEST_ID, 1) == f"{GUEST_ID}_0.qcow2"
    assert all(names.is_volume_of(GUEST_ID, names.volume_name(GUEST_ID, i)) for i in range(12))
    for other in (f"x{GUEST_ID}_sys.qcow2", f"{GUEST_ID}_sys.qcow2x", f"{GUEST_ID}_a.qcow2"):
        assert not names.is_volume_of(GUEST_ID, other)


def test_bridge_and_listen() -> None:
    assert names.check_bridge_name("br0.100") == "br0.100"
    assert names.check_listen_address("::1") == "::1"
    with pytest.raises(InvalidInput):
        names.check_bridge_name("a-name-too-long-for-linux")
    with pytest.raises(InvalidInput):
        names.check_listen_address("localhost")
