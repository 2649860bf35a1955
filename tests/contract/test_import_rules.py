# SPDX-License-Identifier: Apache-2.0
"""Data flows one way: who may import whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
API = ROOT / "api" / "nano_api"
PLUGINS = ROOT / "collection" / "ansible_collections" / "nano" / "cloud" / "plugins"


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def importers_of(package: str, folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if any(name == package or name.startswith(package + ".") for name in imports_of(path))
    }


def test_only_the_run_process_imports_ansible_runner() -> None:
    assert importers_of("ansible_runner", API) == {"worker/execute.py"}


def test_only_one_file_of_the_collection_imports_libvirt() -> None:
    assert importers_of("libvirt", PLUGINS) == {"module_utils/libvirt_binding.py"}


def test_only_the_observer_of_the_api_imports_libvirt() -> None:
    sent_to_cells = {"consoles/serial_bridge.py"}
    importers = importers_of("libvirt", API) - sent_to_cells
    assert {path.split("/")[0] for path in importers} == {"observer"}
    for script in sent_to_cells:
        assert not any(name.startswith("nano_api") for name in imports_of(API / script))


def test_the_collection_knows_nothing_of_the_api() -> None:
    assert importers_of("nano_api", PLUGINS) == set()


@pytest.mark.parametrize("folder", ["worker", "operations", "observer", "jobs"])
def test_what_works_in_the_background_imports_no_endpoint(folder: str) -> None:
    for path in (API / folder).rglob("*.py"):
        if path.name != "router.py":
            assert not [name for name in imports_of(path) if name.endswith(".router")], path


def test_endpoints_never_reach_a_cell() -> None:
    for path in API.rglob("router.py"):
        wrong = ("nano_api.worker", "nano_api.observer", "nano_api.operations", "subprocess")
        assert not [name for name in imports_of(path) if name.startswith(wrong)], path


def test_modules_use_the_standard_library_ansible_and_libvirt_only() -> None:
    import sys

    allowed = {*sys.stdlib_module_names, "ansible", "ansible_collections", "libvirt"}
    for path in PLUGINS.rglob("*.py"):
        names = {name for name in imports_of(path) if not name.startswith(".")}
        assert not {name.split(".")[0] for name in names} - allowed, path


def test_only_module_runner_ends_a_module() -> None:
    found = {
        str(path.relative_to(PLUGINS))
        for path in PLUGINS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("exit_json", "fail_json")
    }
    assert found == {"module_utils/module_runner.py"}
