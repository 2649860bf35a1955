# SPDX-License-Identifier: Apache-2.0
"""The role's promises that need no host: its variables agree with each other and are explained."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
ROLE = CHECKOUT / "roles/cell"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


DEFAULTS: dict[str, Any] = load(ROLE / "defaults/main.yml")
SPECS: dict[str, Any] = load(ROLE / "meta/argument_specs.yml")["argument_specs"]
MODULES = sorted((ROLE / "library").glob("*.py"))


def tasks(path: Path) -> list[dict[str, Any]]:
    """Return all tasks of a file, those of blocks included."""
    found: list[dict[str, Any]] = []
    waiting = list(load(path) or [])
    while waiting:
        task = waiting.pop(0)
        found.append(task)
        for part in ("block", "rescue", "always"):
            waiting += task.get(part, [])
    return found


def test_every_variable_has_a_spec_and_a_default() -> None:
    assert set(SPECS["main"]["options"]) == set(DEFAULTS)
    assert set(SPECS["check"]["options"]) <= set(DEFAULTS)


@pytest.mark.parametrize("entry", sorted(SPECS))
def test_specs_and_defaults_agree(entry: str) -> None:
    for name, option in SPECS[entry]["options"].items():
        assert option["default"] == DEFAULTS[name], name
        assert option["description"], name
        if "choices" in option:
            chosen = DEFAULTS[name]
            for each in chosen if isinstance(chosen, list) else [chosen]:
                assert each in option["choices"], name


def test_every_variable_is_explained_where_it_is_set() -> None:
    lines = (ROLE / "defaults/main.yml").read_text().splitlines()
    for name in DEFAULTS:
        number = next(n for n, line in enumerate(lines) if line.startswith(f"{name}:"))
        # A paragraph's comment stands for all its variables.
        while number and lines[number].strip() and not lines[number].startswith("#"):
            number -= 1
        assert lines[number].startswith("#"), name


def test_every_variable_is_used() -> None:
    text = "\n".join(
        path.read_text() for folder in ("tasks", "vars") for path in (ROLE / folder).glob("*.yml")
    )
    for name in DEFAULTS:
        assert re.search(rf"\b{name}\b", text), name


def test_families_say_the_same_things() -> None:
    debian, red_hat = load(ROLE / "vars/Debian.yml"), load(ROLE / "vars/RedHat.yml")
    assert set(debian) == set(red_hat)
    for family in (debian, red_hat):
        assert all(name.startswith("cell_") for name in family)
        assert "x86_64" in family["cell_architecture_packages"]
        assert "aarch64" in family["cell_architecture_packages"]


@pytest.mark.parametrize("path", sorted((ROLE / "tasks").glob("*.yml")), ids=lambda p: p.stem)
def test_tasks_name_their_modules_in_full(path: Path) -> None:
    ours = {module.stem for module in MODULES}
    for task in tasks(path):
        assert task.get("name"), task
        used = [key for key in task if "." in key or key in ours]
        assert used or "block" in task, f"{task['name']}: which module?"
        assert not {key for key in used if key.startswith(("ansible.posix", "community."))}
        assert not {"ansible.builtin.command", "ansible.builtin.shell"} & set(used), task["name"]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_modules_document_exactly_their_options(path: Path) -> None:
    text = path.read_text()
    documented = yaml.safe_load(re.search(r'DOCUMENTATION = r"""(.*?)"""', text, re.S)[1])  # type: ignore[index]
    assert documented["module"] == path.stem
    spec = text[text.index("argument_spec={") :]
    for name, option in documented["options"].items():
        assert f'"{name}": ' in spec, name
        for choice in option.get("choices", []):
            assert choice == "auto" or choice in text.replace(documented["module"], ""), choice
    assert "supports_check_mode=True" in spec
    for mode in ("check_mode", "diff_mode"):
        assert documented["attributes"][mode]["support"] == "full"


def test_inventories_set_only_variables_that_exist() -> None:
    text = "\n".join(path.read_text() for path in (CHECKOUT / "inventory").rglob("*.yml"))
    for name in set(re.findall(r"^\s*(?:# )?(cell_[a-z_]+):", text, re.M)):
        assert name in DEFAULTS, name
