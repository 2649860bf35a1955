# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer per object; real processes, real flock."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import object_lock as module
from ansible_collections.nano.cloud.plugins.module_utils.errors import Busy, CloudError
from ansible_collections.nano.cloud.plugins.module_utils.object_lock import object_lock

HOLDER = """
import sys, time
from ansible_collections.nano.cloud.plugins.module_utils.object_lock import object_lock
with object_lock("guest", "x", 5, directory=sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "places")


def holder(directory: str) -> subprocess.Popen[str]:
    root = str(Path(module.__file__).parents[5])
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, directory],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_one_waits_its_time_and_is_told_who_holds_it(directory: str) -> None:
    with holder(directory) as process:
        try:
            started = time.monotonic()
            with pytest.raises(Busy) as caught, object_lock("guest", "x", 0.4, directory=directory):
                pass
            assert 0.3 < time.monotonic() - started < 3
            assert caught.value.context["holder_pid"] == process.pid
            with object_lock("guest", "y", 0, directory=directory):
                pass  # Another object is not held.
        finally:
            process.kill()


def test_the_dead_hold_nothing(directory: str) -> None:
    with holder(directory) as process:
        process.kill()
        process.wait()
        with object_lock("guest", "x", 0, directory=directory):
            pass


def test_nothing_is_left_behind(directory: str) -> None:
    with object_lock("guest", "x", 0, directory=directory):
        assert os.listdir(directory) == ["guest-x.lock"]
        assert os.stat(directory).st_mode & 0o077 == 0
    assert os.listdir(directory) == []


def test_shared_ones_hold_together_against_an_exclusive_one(directory: str) -> None:
    with object_lock("image", "i", 0, shared=True, directory=directory):
        with object_lock("image", "i", 0, shared=True, directory=directory):
            pass
        with pytest.raises(Busy), object_lock("image", "i", 0, directory=directory):
            pass
    assert os.listdir(directory) == []
    with object_lock("image", "i", 0, directory=directory):
        pass


def test_a_link_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(CloudError, match="not a directory"),
        object_lock("guest", "x", 0, directory=str(tmp_path / "link")),
    ):
        pass
