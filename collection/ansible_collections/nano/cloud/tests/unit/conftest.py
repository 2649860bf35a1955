# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's own test driver, with the pools that a cell has, and private places for locks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import image_service, object_lock, pool_xml
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.pool_spec import PoolSpec

TEST_URI = "test:///default"


@pytest.fixture(autouse=True)
def _private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_lock, "lock_directory", lambda: str(tmp_path / "locks"))
    monkeypatch.setattr(image_service, "_state_directory", lambda: str(tmp_path / "state"))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LibvirtHost]:
    """A connection; while it is open, others to the same URI see the same objects."""
    with LibvirtHost.open(TEST_URI) as connection:
        for name in ("default", "nano-images"):
            path = tmp_path / name
            path.mkdir()
            pool = connection.define_pool(pool_xml.build(PoolSpec(name, "dir", str(path))))
            pool.start()
        yield connection
        _clean(connection)


def _clean(host: LibvirtHost) -> None:
    """The driver forgets only with the last reference, which a kept exception may hold."""
    for domain in host.domains():
        if domain.name != "test":
            domain.destroy()
            domain.undefine()
    for pool in host.pools():
        if pool.name != "default-pool":
            if pool.is_active():
                pool.stop()
            pool.undefine()
