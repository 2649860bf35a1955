# SPDX-License-Identifier: Apache-2.0
"""Where settings come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from nano_api.settings import Settings


def test_arguments_win_over_environment_over_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nano.toml").write_text("port = 1000\nmax_cores = 8\nworkers = 2\n")
    monkeypatch.setenv("NANO_PORT", "2000")
    monkeypatch.setenv("NANO_MAX_CORES", "16")
    settings = Settings(data=tmp_path, port=3000)
    assert (settings.port, settings.max_cores, settings.workers) == (3000, 16, 2)


def test_an_unknown_setting_in_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "nano.toml").write_text("prot = 5870\n")
    with pytest.raises(ValidationError, match="prot"):
        Settings(data=tmp_path)


def test_only_the_owner_may_look_into_the_folders(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    settings.prepare_folders()
    for folder in (settings.data, settings.image_folder, settings.log_folder / "jobs"):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert settings.effective_database_url == f"sqlite:///{tmp_path / 'data' / 'nano.db'}"
    assert len(str(settings.runtime_folder)) < 80
