# SPDX-License-Identifier: Apache-2.0
"""Every module of the collection has check mode, diff, idempotence, and tests of both kinds.

The table that the test prints has no empty cell: what a module promises in its documentation, where
its unit tests are, and where it runs on a real cell: in check mode, really, and again.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from nano_api.content import CONTENT_ROOT

COLLECTION = CONTENT_ROOT / "collection/ansible_collections/nano/cloud"
MODULES = sorted((COLLECTION / "plugins/modules").glob("*.py"))
THREE_RUNS = "check_then_real_then_again"
# Used by all modules, so that a test of them says nothing about one.
COMMON = {"libvirt_host", "module_runner", "constants", "names", "errors", "differences"}


@dataclass(frozen=True)
class Row:
    """What there is of one module; empty: nothing."""

    module: str
    check: str
    diff: str
    idempotent: str
    unit: str
    cell: str


@cache
def files_of(kind: str) -> dict[str, ast.Module]:
    """The parsed test files of a kind, by name."""
    folder = COLLECTION / "tests" / kind
    return {path.name: ast.parse(path.read_text()) for path in sorted(folder.glob("*.py"))}


def calls(tree: ast.Module) -> Iterator[tuple[str, list[Any]]]:
    """Calls whose first constant argument can be a module's name: (function, constants)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            constants = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            yield name, constants


def imported(tree: ast.Module) -> set[str]:
    """The parts of ``module_utils`` that a file imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and "module_utils" in node.module:
            package = node.module.rpartition("module_utils")[2].lstrip(".")
            found |= {package} if package else {each.name for each in node.names}
    return found - COMMON


def attributes_of(path: Path) -> dict[str, str]:
    """Attribute → support, of a module's documentation and its fragments."""
    documentation = re.search(r'DOCUMENTATION = r"""(.*?)"""', path.read_text(), re.DOTALL)
    assert documentation, path.name
    own = yaml.safe_load(documentation[1])
    found: dict[str, Any] = {}
    for fragment in own["extends_documentation_fragment"]:
        name, _dot, section = fragment.removeprefix("nano.cloud.").partition(".")
        text = (COLLECTION / f"plugins/doc_fragments/{name}.py").read_text()
        part = re.search(rf'{(section or "documentation").upper()} = r"""(.*?)"""', text, re.DOTALL)
        assert part, fragment
        found |= yaml.safe_load(part[1]).get("attributes", {})
    found |= own.get("attributes", {})
    return {name: str(each["support"]) for name, each in found.items()}


def unit_tests(name: str, path: Path) -> list[str]:
    """Files that call the module, or test what it alone is made of."""
    services = imported(ast.parse(path.read_text()))
    return [
        file
        for file, tree in files_of("unit").items()
        if services & imported(tree) or any(name in constants for _called, constants in calls(tree))
    ]


def cell_tests(name: str, attributes: dict[str, str]) -> list[str]:
    """Files that run the module on a cell so that its promises show."""
    found = []
    for file, tree in files_of("integration").items():
        runs = [(called, constants) for called, constants in calls(tree) if name in constants]
        if attributes["diff_mode"] != "full":  # it only reads: once is as good as twice
            shown = any(called == "run" for called, _constants in runs)
        elif attributes["idempotent"] == "none":
            shown = any("--check" in constants for _called, constants in runs)
        else:
            shown = any(called == THREE_RUNS for called, _constants in runs)
        if shown:
            found.append(file)
    return found


def row_of(path: Path) -> Row:
    name = path.stem
    attributes = attributes_of(path)
    idempotent = attributes["idempotent"]
    return Row(
        module=name,
        check=attributes["check_mode"].replace("none", ""),
        diff=attributes["diff_mode"].replace("none", ""),
        idempotent=idempotent,
        unit=" ".join(unit_tests(name, path)),
        cell=" ".join(cell_tests(name, attributes)),
    )


@pytest.fixture(scope="module")
def table() -> list[Row]:
    return [row_of(path) for path in MODULES]


def test_no_cell_of_the_table_is_empty(table: list[Row]) -> None:
    columns = [field.name for field in fields(Row)]
    for row in table:
        print(" | ".join(str(getattr(row, column)) for column in columns))  # noqa: T201
    empty = [
        (row.module, column) for row in table for column in columns if not getattr(row, column)
    ]
    assert empty == []


def test_only_passwords_and_reboots_change_each_time(table: list[Row]) -> None:
    assert [row.module for row in table if row.idempotent != "full"] == [
        "guest_auth",
        "guest_power",
    ]


def test_the_action_group_has_every_module(table: list[Row]) -> None:
    runtime = yaml.safe_load((COLLECTION / "meta/runtime.yml").read_text())
    assert runtime["action_groups"]["all"] == [row.module for row in table]
