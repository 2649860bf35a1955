# SPDX-License-Identifier: Apache-2.0
"""Rules about the files themselves."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_MOST_LINES = 400
_WITHOUT_LICENCE_LINE = re.compile(
    r"LICENSES/|\.(xml|txt|svg|png|json|lock)$|(^|/)(\.gitignore|\.gitkeep)$|\.md$|\.rst$"
)


def tracked_files() -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [name for name in listing.splitlines() if (ROOT / name).is_file()]


def expected_licence(name: str) -> str:
    plugins = "collection/ansible_collections/nano/cloud/"
    if not name.startswith(plugins):
        return "Apache-2.0"
    if "/plugins/module_utils/" in name:
        return "BSD-2-Clause"
    return "GPL-3.0-or-later"


@pytest.mark.parametrize("name", tracked_files())
def test_a_file_names_its_licence(name: str) -> None:
    if _WITHOUT_LICENCE_LINE.search(name):
        return
    head = "\n".join((ROOT / name).read_text().splitlines()[:5])
    assert f"SPDX-License-Identifier: {expected_licence(name)}" in head


@pytest.mark.parametrize("name", [name for name in tracked_files() if name.endswith(".py")])
def test_a_file_stays_small_enough_to_read(name: str) -> None:
    if "schema_versions/versions/" not in name:
        assert len((ROOT / name).read_text().splitlines()) <= _MOST_LINES


def test_the_licence_texts_are_there() -> None:
    names = {path.stem for path in (ROOT / "LICENSES").iterdir()}
    assert names == {"Apache-2.0", "BSD-2-Clause", "GPL-3.0-or-later"}
