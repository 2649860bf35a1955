# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers of disks without disks: what stands in each, and a process that can die at any step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import domain_xml, names, volume_xml
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_storage import Pool, Volume
from ansible_collections.nano.cloud.plugins.module_utils.qemu_img import LayerInfo, QemuImg
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_tree import GuestVolume

Content = dict[int, str]


class Killed(BaseException):
    """The process has ended here: nothing of it happens any more."""


class Mortal:
    """Ends the process before one of its steps, which are numbered from 1."""

    def __init__(self) -> None:
        self.steps = 0
        self.last: int | None = None

    def live(self, last: int | None = None) -> None:
        self.steps, self.last = 0, last

    def step(self) -> None:
        self.steps += 1
        if self.last is not None and self.steps >= self.last:
            raise Killed

    def bind(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def stepping(*arguments: Any, **options: Any) -> Any:
            self.step()
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, stepping)


def mortal_host(monkeypatch: pytest.MonkeyPatch) -> Mortal:
    """Everything that changes something is a step."""
    mortal = Mortal()
    for owner, name in (
        (LibvirtHost, "define_domain"),
        (Pool, "create_volume"),
        (Pool, "refresh"),
        (Volume, "delete"),
        (ModelImg, "rebase"),
        (ModelImg, "relink"),
        (ModelImg, "commit"),
        (ModelImg, "midway"),
    ):
        mortal.bind(monkeypatch, owner, name)
    return mortal


class ModelImg(QemuImg):
    """qemu-img on the volumes of libvirt's test driver, which have no content."""

    def __init__(self, host: LibvirtHost) -> None:
        self._host = host
        self._own: dict[str, Content] = {}
        self._below: dict[str, str] = {}

    def _volumes(self) -> dict[str, Volume]:
        found = {volume.path(): volume for pool in self._host.pools() for volume in pool.volumes()}
        for path in set(self._own) - set(found):
            del self._own[path]
        for path, volume in found.items():
            if path not in self._own:
                self._own[path] = {}
                self._below[path] = volume_xml.parse(volume.xml()).backing_path
        return found

    def view(self, path: str) -> Content:
        """What a guest would read."""
        self._volumes()
        below = self._below[path]
        return {**(self.view(below) if below else {}), **self._own[path]}

    def write(self, path: str, at: int, what: str) -> None:
        self._volumes()
        self._own[path][at] = what

    def forget(self, path: str, at: int) -> None:
        """QEMU was killed before it had written down where that is."""
        del self._own[path][at]

    def info(self, path: str) -> LayerInfo:
        size = self._volumes()[path].sizes()[0]
        below = self._below[path]
        return LayerInfo(below, "qcow2" if below else "", size, 65536 * len(self._own[path]))

    def rebase(self, path: str, backing_path: str, backing_format: str) -> None:
        assert bool(backing_path) == bool(backing_format)
        view = self.view(path)
        # Half-way it has more of its own, and the same content.
        self._own[path] = dict(list(view.items())[: len(view) // 2]) | self._own[path]
        self.midway()
        beneath = self.view(backing_path) if backing_path else {}
        self._own[path] = {at: what for at, what in view.items() if beneath.get(at) != what}
        self._below[path] = backing_path

    def relink(self, path: str, backing_path: str, backing_format: str) -> None:
        assert backing_format == "qcow2"
        before = self.view(path)
        self._below[path] = backing_path
        # What was there is there again; only what QEMU has lost may come back.
        assert {**self.view(path), **before} == self.view(path)

    def commit(self, path: str) -> None:
        self._own[self._below[path]].update(list(self._own[path].items())[:1])
        self.midway()
        self._own[self._below[path]].update(self._own[path])

    def sync(self, path: str) -> None:
        assert path in self._volumes()

    def midway(self) -> None:
        """A moment within a long step."""

    def is_pristine(self, path: str) -> bool:
        self._volumes()
        return not self._own[path]


class Contents:
    """What a guest's disks and its snapshots hold."""

    def __init__(self, host: LibvirtHost, tool: ModelImg, guest_id: str) -> None:
        self._host, self._tool, self._id = host, tool, guest_id

    def _view(self, ref: GuestVolume) -> Content:
        return self._tool.view(self.path(ref))

    def path(self, ref: GuestVolume) -> str:
        pool = self._host.find_pool(ref.pool)
        volume = pool and pool.find_volume(ref.volume)
        assert volume, ref
        return volume.path()

    def spec(self) -> Any:
        domain = self._host.find_domain(self._id, None)
        assert domain
        return domain_xml.parse(domain.inactive_xml(secure=False))

    def of_disks(self) -> dict[str, Content]:
        found = {}
        for disk in self.spec().disks:
            slot = names.disk_slot(self._id, disk.volume)
            assert slot
            found[slot] = self._view(GuestVolume(disk.pool, disk.volume))
        return found

    def of(self, snapshot: str) -> dict[str, Content]:
        found = self.spec().snapshots.find(snapshot)
        assert found, snapshot
        return {
            names.disk_slot(self._id, ref.volume) or "": self._view(ref) for ref in found.volumes
        }

    def write(self, at: int, what: str, disk: int = 0) -> None:
        present = self.spec().disks[disk]
        self._tool.write(self.path(GuestVolume(present.pool, present.volume)), at, what)
