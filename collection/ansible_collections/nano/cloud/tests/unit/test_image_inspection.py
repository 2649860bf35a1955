# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that are what they say, and those that are not; QEMU's own tool reads them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.nano.cloud.plugins.module_utils.errors import UnsafeImage
from ansible_collections.nano.cloud.plugins.module_utils.image_inspection import inspect_image

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is missing")
SIZE = 4 * 2**20


def make(path: Path, *options: str, image_format: str = "qcow2", size: bool = True) -> str:
    command = ["qemu-img", "create", "-q", "-f", image_format, *options, str(path)]
    subprocess.run(command + ([str(SIZE)] if size else []), check=True)
    path.chmod(0o644)
    return str(path)


def test_good_images(tmp_path: Path) -> None:
    assert inspect_image(make(tmp_path / "a"), "qcow2") == SIZE
    assert inspect_image(make(tmp_path / "b", image_format="raw"), "raw") == SIZE
    iso = tmp_path / "c"
    iso.write_bytes(b"\0" * 32769 + b"CD001" + b"\0" * 2048)
    iso.chmod(0o644)
    assert inspect_image(str(iso), "iso") >= 32769
    assert inspect_image(str(iso), "raw") >= 32769


def test_directories_above_may_be_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert inspect_image(make(closed / "a"), "qcow2") == SIZE


@pytest.mark.parametrize(
    "options", [["-b", "/etc/hostname", "-F", "raw"], ["-u", "-b", "x", "-F", "qcow2"]]
)
def test_backing_files(tmp_path: Path, options: list[str]) -> None:
    with pytest.raises(UnsafeImage, match="backing file"):
        inspect_image(make(tmp_path / "a", *options), "qcow2")


def test_external_data(tmp_path: Path) -> None:
    path = make(tmp_path / "a", "-o", f"data_file={tmp_path / 'data'},data_file_raw=on")
    with pytest.raises(UnsafeImage, match="another file"):
        inspect_image(path, "qcow2")


@pytest.mark.parametrize(
    ("made", "declared"),
    [("qcow2", "raw"), ("qcow2", "iso"), ("raw", "qcow2"), ("raw", "iso"), ("vmdk", "qcow2"),
     ("vmdk", "raw"), ("vdi", "raw"), ("vhdx", "raw")],
)  # fmt: skip
def test_declared_as_something_else(tmp_path: Path, made: str, declared: str) -> None:
    with pytest.raises(UnsafeImage, match=f"declared as {declared} but the file is {made}"):
        inspect_image(make(tmp_path / "a", image_format=made), declared)


@pytest.mark.parametrize("content", [b"", b"QFI\xfb", b"QFI\xfb" + b"\xff" * 600])
def test_broken_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(UnsafeImage):
        inspect_image(str(path), "qcow2")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_the_tool_does_not_run_as_root(tmp_path: Path) -> None:
    path = make(tmp_path / "a")
    os.chmod(path, 0o600)
    with pytest.raises(UnsafeImage, match="Permission denied"):
        inspect_image(path, "qcow2")
