# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's errors in our words; a missing binding is named."""

from __future__ import annotations

import libvirt
import pytest

from ansible_collections.nano.cloud.plugins.module_utils import libvirt_binding
from ansible_collections.nano.cloud.plugins.module_utils.errors import (
    Busy,
    HypervisorError,
    NoSpace,
    Unreachable,
    Unsupported,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_storage import Pool


def test_a_missing_binding_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt_binding, "libvirt", None)
    with pytest.raises(Unsupported, match="python3-libvirt"):
        LibvirtHost.open("test:///default")


def test_nobody_answers() -> None:
    with pytest.raises(Unreachable, match="is libvirtd running"):
        LibvirtHost.open("qemu+unix:///system?socket=/nowhere/socket")


def test_errors_carry_libvirts_code_and_say_what_was_tried(host: LibvirtHost) -> None:
    with pytest.raises(HypervisorError, match="cannot define the guest: ") as caught:
        host.define_domain("<domain type='test'/>")
    assert caught.value.context["libvirt_code"]


def internal_error(text: str) -> libvirt.libvirtError:
    error = libvirt.libvirtError("")
    about = (libvirt.VIR_ERR_ERROR, None, None, None, 0, 0)
    error.err = (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_QEMU, text, *about)
    return error


def test_a_disk_that_another_process_has_is_busy() -> None:
    text = 'Failed to get "write" lock\nIs another process using the image [/srv/one.qcow2]?'
    with (
        pytest.raises(Busy, match="cannot start guest one: "),
        libvirt_binding.translated("start guest one"),
    ):
        raise internal_error(f"process exited while connecting to monitor: {text}")


def test_a_pool_is_looked_at_after_the_volume_that_is_being_made() -> None:
    class PoolInUse:
        looks = 0

        def name(self) -> str:
            return "p"

        def refresh(self, _flags: int) -> None:
            self.looks += 1
            if self.looks < 3:
                raise internal_error("pool 'p' has asynchronous jobs running.")

    handle = PoolInUse()
    Pool(handle).refresh()
    assert handle.looks == 3


def test_absent_objects_are_none(host: LibvirtHost) -> None:
    assert host.find_domain(None, "nobody") is None
    assert host.find_domain("6a2e3f10-8b1c-4b7e-9a55-0d9d7c1f2e3a", None) is None
    assert host.find_pool("nowhere") is None
    pool = host.find_pool("default")
    assert pool is not None
    assert pool.find_volume("nothing") is None


def test_local_paths_only_for_a_local_hypervisor(host: LibvirtHost) -> None:
    assert not host.is_local_hypervisor
    assert LibvirtHost(None, "qemu:///system").is_local_hypervisor
    assert not LibvirtHost(None, "qemu+ssh://root@h/system").is_local_hypervisor


def test_a_full_storage_is_told_from_other_errors() -> None:
    libvirt = pytest.importorskip("libvirt")
    error = libvirt.libvirtError("internal error: Child process (/usr/bin/qemu-img create)")
    error.err = (1, 0, "qemu-img: sys.qcow2: No space left on device", 2, "", "", "", 0, 0)
    with (
        pytest.raises(NoSpace, match=r"cannot make it: .* No space left .*: free some space"),
        libvirt_binding.translated("make it"),
    ):
        raise error
