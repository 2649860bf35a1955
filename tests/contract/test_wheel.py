# SPDX-License-Identifier: Apache-2.0
"""An installed service has everything that it runs."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTENT = ("ansible.cfg", "collection", "playbooks", "roles")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("nano_cloud-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def tracked(name: str) -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files", name], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listing.stdout.splitlines()


@pytest.mark.parametrize("name", CONTENT)
def test_the_wheel_has_every_file_of(name: str, unpacked: Path) -> None:
    files = [file for file in tracked(name) if (ROOT / file).exists()]
    assert files
    missing = [file for file in files if not (unpacked / "nano_api/content" / file).is_file()]
    assert missing == []


def test_an_installed_service_finds_its_own_content(unpacked: Path) -> None:
    program = (
        "from nano_api.content import ANSIBLE_CONFIG, PLAYBOOKS; import nano_api.errors; "
        "print(PLAYBOOKS, ANSIBLE_CONFIG.is_file())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd="/",
        env={"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(unpacked / "nano_api/content/playbooks"), "True"], done


def test_every_playbook_runs_from_an_installed_wheel(unpacked: Path, tmp_path: Path) -> None:
    """Each finds its roles, templates and modules where the wheel has them."""
    content = unpacked / "nano_api/content"
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("cells: {hosts: {c1: {ansible_host: 192.0.2.1}}}\n")
    playbooks = sorted(
        str(path)
        for path in (content / "playbooks").glob("*.yml")
        if path.name != "awx.yml"  # its modules are those of another collection
    )
    values = {"nano_cell": "c1", "nano_source_cell": "c1", "nano_power_state": "running"}
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "--syntax-check"]
    done = subprocess.run(
        [*command, "-i", str(inventory), "-e", json.dumps(values), *playbooks],
        cwd=tmp_path,
        env={"ANSIBLE_CONFIG": str(content / "ansible.cfg"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("playbook: ") == len(playbooks)
    roles = sorted(path.name for path in (content / "roles").iterdir())
    assert roles == sorted(path.name for path in (ROOT / "roles").iterdir())
