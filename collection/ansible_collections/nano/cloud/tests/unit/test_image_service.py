# SPDX-License-Identifier: GPL-3.0-or-later
"""The image cache: real files, real qemu-img, libvirt's test driver."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import image_service, volume_xml
from ansible_collections.nano.cloud.plugins.module_utils.errors import (
    CloudError,
    Conflict,
    InvalidInput,
    UnsafeImage,
)
from ansible_collections.nano.cloud.plugins.module_utils.image_service import (
    ImageOutcome,
    ensure_image_absent,
    ensure_image_present,
)
from ansible_collections.nano.cloud.plugins.module_utils.image_spec import image_request
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost

from .web import Site, serving

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is missing")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "8M"], check=True)
    return path


def options(source: Path | None, **more: Any) -> dict[str, Any]:
    basis = {"id": "deb", "format": "qcow2", "pool": "nano-images"}
    return {**basis, **({"url": source.as_uri()} if source else {}), **more}


def present(
    host: LibvirtHost, source: Path | None, check: bool = False, **more: Any
) -> ImageOutcome:
    return ensure_image_present(host, image_request(options(source, **more)), check, 1)


def absent(host: LibvirtHost, **more: Any) -> ImageOutcome:
    return ensure_image_absent(host, image_request(options(None, **more)), False, 1)


def checksum(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def files(tmp_path: Path) -> list[str]:
    return sorted(os.listdir(tmp_path / "nano-images"))


def test_fetched_once_then_unchanged(host: LibvirtHost, tmp_path: Path, source: Path) -> None:
    first = present(host, source, checksum=checksum(source))
    assert first.differences.changed
    assert first.progress == 100
    assert first.image is not None
    assert first.image["ready"]
    assert first.image["virtual_size_bytes"] == 8 * 2**20
    assert first.image["checksum"] == checksum(source)
    assert files(tmp_path) == ["deb.qcow2"]
    second = present(host, source, checksum=checksum(source))
    assert not second.differences.changed
    assert second.image == first.image
    assert not present(host, None).differences.changed


def test_check_mode_fetches_nothing(host: LibvirtHost, tmp_path: Path, source: Path) -> None:
    assert present(host, source, check=True).differences.changed
    assert files(tmp_path) == []


def test_slices(
    host: LibvirtHost, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.nano.cloud.plugins.module_utils import image_download

    monkeypatch.setattr(image_download, "_CHUNK_BYTES", 4096)
    ticks = iter(range(10**9))
    monkeypatch.setattr(image_download.time, "monotonic", lambda: float(next(ticks)))
    with serving(Site(source.read_bytes())) as site:
        states = []
        for _ in range(200):
            outcome = present(host, None, url=site.url, wait_seconds=2)
            assert outcome.image is not None
            states.append((outcome.image["ready"], outcome.progress))
            if outcome.image["ready"]:
                break
    assert states[0][0] is False
    assert states[-1] == (True, 100)
    assert len(states) > 2
    assert files(tmp_path) == ["deb.qcow2"]


def backed(path: Path) -> None:
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/hostname", "-F", "raw"]
    subprocess.run([*command, str(path)], check=True)


@pytest.mark.parametrize(
    ("prepare", "more", "message"),
    [
        (backed, {}, "backing file"),
        (lambda _path: None, {"checksum": "sha256:" + "0" * 64}, "checksum"),
        (lambda _path: None, {"max_virtual_size_bytes": 2**20}, "max_virtual_size_bytes"),
        (lambda path: path.write_bytes(b"x" * 5000), {}, "declared as qcow2 but the file is raw"),
    ],
)
def test_bad_ones_are_refused_and_leave_nothing(
    host: LibvirtHost, tmp_path: Path, source: Path, prepare: Any, more: Any, message: str
) -> None:
    prepare(source)
    with pytest.raises(UnsafeImage, match=message):
        present(host, source, **more)
    assert files(tmp_path) == []
    assert not [name for name in os.listdir(tmp_path / "state/nano-images") if "partial" in name]


def test_an_id_names_one_content(host: LibvirtHost, source: Path) -> None:
    present(host, source)
    with pytest.raises(Conflict, match="another id"):
        present(host, source, checksum="sha256:" + "0" * 64)
    with pytest.raises(Conflict, match=r"exists as deb\.qcow2"):
        present(host, source, format="raw")


def test_another_checksum_algorithm_is_computed(host: LibvirtHost, source: Path) -> None:
    present(host, source)
    sha1 = "sha1:" + hashlib.sha1(source.read_bytes()).hexdigest()
    assert not present(host, source, checksum=sha1).differences.changed


def test_a_file_that_was_tampered_with_is_noticed(
    host: LibvirtHost, tmp_path: Path, source: Path
) -> None:
    present(host, source, checksum=checksum(source))
    with open(tmp_path / "nano-images/deb.qcow2", "ab") as file:
        file.write(b"more")
    with pytest.raises(Conflict, match="is here with checksum"):
        present(host, source, checksum=checksum(source))


def test_dependents_keep_it(host: LibvirtHost, tmp_path: Path, source: Path) -> None:
    present(host, source)
    path = str(tmp_path / "nano-images/deb.qcow2")
    pool = host.find_pool("default")
    assert pool is not None
    spec = volume_xml.VolumeSpec("child.qcow2", 2**24, "qcow2", path, "qcow2")
    child = pool.create_volume(volume_xml.build(spec))
    again = present(host, source)
    assert again.image is not None
    assert again.image["dependents"] == [child.path()]
    with pytest.raises(Conflict, match=r"child\.qcow2"):
        absent(host)
    child.delete()
    assert absent(host).differences.changed
    assert files(tmp_path) == []
    assert not absent(host).differences.changed


def test_what_an_interrupted_fetch_left_is_removed(host: LibvirtHost, tmp_path: Path) -> None:
    (tmp_path / "nano-images/.deb.partial").write_bytes(b"x")
    assert absent(host).differences.changed
    assert files(tmp_path) == []


def test_a_killed_run_after_the_download_is_completed(
    host: LibvirtHost, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_service, "inspect_image", lambda *_: (_ for _ in ()).throw(KeyError))
    with pytest.raises(KeyError):
        present(host, source)
    assert files(tmp_path) == [".deb.partial"]
    monkeypatch.undo()
    monkeypatch.setattr(image_service, "_state_directory", lambda: str(tmp_path / "state"))
    done = present(host, source)
    assert done.image is not None
    assert done.image["ready"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"url": "ftp://x/y"}, "url"),
        ({"url": "http:///y"}, "url"),
        ({"url": "file://host/y"}, "url"),
        ({"url": "https://user:pw@host/y"}, "url"),
        ({"url": "https://host/\x00"}, "url"),
        ({"id": "../x"}, "id"),
        ({"checksum": "x"}, "checksum"),
        ({"max_virtual_size_bytes": 0}, "max_virtual_size_bytes"),
        ({"wait_seconds": -1}, "wait_seconds"),
        ({"bearer_token": "a\r\nX: y"}, "bearer_token"),
    ],
)
def test_options_are_checked(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        image_request(options(None, **more))


def test_missing_without_a_url(host: LibvirtHost) -> None:
    with pytest.raises(CloudError, match="url is required"):
        present(host, None)
