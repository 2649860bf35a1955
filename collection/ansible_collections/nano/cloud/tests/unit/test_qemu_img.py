# SPDX-License-Identifier: GPL-3.0-or-later
"""qemu-img on real files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.nano.cloud.plugins.module_utils.errors import CloudError
from ansible_collections.nano.cloud.plugins.module_utils.qemu_img import QemuImg

pytestmark = pytest.mark.skipif(
    not (shutil.which("qemu-img") and shutil.which("qemu-io")), reason="qemu-utils is missing"
)
MIB = 2**20
TOOL = QemuImg()


def layer(path: Path, below: Path | None = None, size: int = 4 * MIB) -> Path:
    backing = ["-b", str(below), "-F", "qcow2"] if below else []
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(path), str(size)], check=True
    )
    return path


def io(path: Path, *commands: str) -> str:
    arguments = [part for command in commands for part in ("-c", command)]
    done = subprocess.run(
        ["qemu-io", "-f", "qcow2", *arguments, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def has(path: Path, *bytes_: int) -> bool:
    reads = [f"read -P {byte} {index}M 1M" for index, byte in enumerate(bytes_)]
    told = io(path, *reads)
    return told.count("read 1048576/1048576") == len(bytes_) and "failed" not in told


@pytest.fixture
def chain(tmp_path: Path) -> list[Path]:
    """Three layers, the top one grown."""
    first = layer(tmp_path / "a")
    io(first, "write -P 1 0 4M")
    second = layer(tmp_path / "b", first)
    io(second, "write -P 2 1M 1M")
    third = layer(tmp_path / "c", second)
    subprocess.run(["qemu-img", "resize", "-q", str(third), str(6 * MIB)], check=True)
    io(third, "write -P 3 2M 1M")
    return [first, second, third]


def test_what_a_layer_is(chain: list[Path]) -> None:
    found = TOOL.info(str(chain[2]))
    assert (found.backing_path, found.backing_format) == (str(chain[1]), "qcow2")
    assert found.size_bytes == 6 * MIB
    assert found.allocated_bytes >= MIB
    assert TOOL.info(str(chain[0])).backing_path == ""
    with pytest.raises(CloudError, match="nothing"):
        TOOL.info(str(chain[0].parent / "nothing"))


@pytest.mark.parametrize("onto_first", [True, False])
def test_a_rebased_layer_has_the_same_bytes(chain: list[Path], onto_first: bool) -> None:
    base = str(chain[0]) if onto_first else ""
    TOOL.rebase(str(chain[2]), base, "qcow2" if base else "")
    chain[1].unlink()
    assert TOOL.info(str(chain[2])).backing_path == base
    assert has(chain[2], 1, 2, 3, 1, 0, 0)


def test_a_committed_layer_can_be_replaced_by_the_one_below(chain: list[Path]) -> None:
    TOOL.commit(str(chain[2]))
    assert has(chain[1], 1, 2, 3, 1, 0, 0)
    assert has(chain[2], 1, 2, 3, 1, 0, 0)
    top = layer(chain[0].parent / "d", chain[2], 6 * MIB)
    io(top, "write -P 4 0 1M")
    TOOL.relink(str(top), str(chain[1]), "qcow2")
    chain[2].unlink()
    assert has(top, 4, 2, 3, 1, 0, 0)


def test_only_what_was_never_written_is_pristine(chain: list[Path]) -> None:
    top = layer(chain[0].parent / "d", chain[2], 6 * MIB)
    assert TOOL.is_pristine(str(top))
    io(top, "write -z 0 64k")
    assert not TOOL.is_pristine(str(top))
    assert not TOOL.is_pristine(str(chain[1]))
    other = chain[0].parent / "raw"
    other.write_bytes(bytes(MIB))
    assert not TOOL.is_pristine(str(other))


def test_a_copy_over_the_same_layer_has_only_what_is_its_own(chain: list[Path]) -> None:
    io(chain[2], "write -P 0 1M 1M")
    seen: list[int] = []
    copy = chain[0].parent / "copy"
    below = {"path": str(chain[1]), "format": "qcow2"}
    TOOL.convert(str(chain[2]), "qcow2", str(copy), "qcow2", seen.append, below=below)
    assert has(copy, 1, 0, 3, 1, 0, 0)
    assert TOOL.info(str(copy)).backing_path == str(chain[1])
    assert TOOL.info(str(copy)).allocated_bytes < 2 * MIB
    assert seen[-1] == 100
    assert seen == sorted(seen)


@pytest.mark.parametrize("compress", [False, True])
def test_a_copy_that_stands_alone(chain: list[Path], compress: bool) -> None:
    copy = chain[0].parent / "copy"
    report = [].append
    TOOL.convert(str(chain[2]), "qcow2", str(copy), "qcow2", report, compress=compress)
    TOOL.resize(str(copy), 8 * MIB)
    for each in chain:
        each.unlink()
    assert has(copy, 1, 2, 3, 1, 0, 0, 0, 0)
    assert TOOL.info(str(copy)).backing_path == ""
    assert (TOOL.info(str(copy)).allocated_bytes < MIB) is compress


def test_a_copy_that_fails_says_why(chain: list[Path]) -> None:
    with pytest.raises(CloudError, match=r"qemu-img convert of .* failed: .*nothing"):
        TOOL.convert(str(chain[0].parent / "nothing"), "qcow2", "/nowhere/copy", "qcow2", [].append)
