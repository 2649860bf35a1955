# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's files outside all pools."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import guest_files, names
from ansible_collections.nano.cloud.plugins.module_utils.errors import Unreachable

from .guests import GUEST_ID


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Places of the files in a folder of the test, with the files of a guest that has had all."""
    for name in ("NVRAM_DIRECTORY", "TPM_DIRECTORY", "SERIAL_LOG_DIRECTORY"):
        monkeypatch.setattr(names, name, str(tmp_path))
    for secure_boot in (False, True):
        Path(names.nvram_path(GUEST_ID, secure_boot)).write_text("variables")
    Path(names.tpm_state_path(GUEST_ID), "tpm2").mkdir(parents=True)
    Path(names.tpm_state_path(GUEST_ID), "tpm2/state").write_text("keys")
    for suffix in ("", ".0"):
        Path(names.serial_log_path(GUEST_ID) + suffix).write_text("text")
    (tmp_path / "other").write_text("")
    return tmp_path


def fake_ssh(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "bin/ssh"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_all_are_removed_and_nothing_else(state: Path) -> None:
    guest_files.remove_files(GUEST_ID)
    assert [path.name for path in state.iterdir()] == ["other"]
    guest_files.remove_files(GUEST_ID)


def test_they_are_sent_whole(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh(state, monkeypatch, f'echo "$@" > {state}/arguments; cat > {state}/sent.tar')
    guest_files.send_files("cell2", guest_files.state_paths(GUEST_ID))
    assert (state / "arguments").read_text().endswith("root@cell2 tar -C / -x\n")
    listed = subprocess.run(
        ["tar", "-tf", state / "sent.tar"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert f"{state}/{GUEST_ID}_VARS_secure.fd".lstrip("/") in listed
    assert f"{state}/{GUEST_ID}/tpm2/state".lstrip("/") in listed


def test_nothing_to_send_needs_no_connection(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh(state, monkeypatch, "exit 1")
    guest_files.send_files("cell2", [])


def test_a_failure_says_what_and_why(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh(state, monkeypatch, "cat > /dev/null; echo refused >&2; exit 255")
    with pytest.raises(Unreachable, match=r"VARS\.fd .* to cell2: refused"):
        guest_files.send_files("cell2", guest_files.state_paths(GUEST_ID))
    with pytest.raises(Unreachable, match="cannot copy"):
        guest_files.send_files("cell2", [f"{state}/gone"])
