# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules as Ansible runs them, their documentation against their options, their examples."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.testing import patch_module_args

from ansible_collections.nano.cloud.plugins.module_utils import module_runner
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.names import check_guest_id

from .conftest import TEST_URI

COLLECTION = Path(module_runner.__file__).parents[2]
NAMES = sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("*.py"))
PACKAGE = "ansible_collections.nano.cloud.plugins"
Run = Callable[..., dict[str, Any]]


def module(name: str) -> ModuleType:
    return importlib.import_module(f"{PACKAGE}.modules.{name}")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call a module's main(); returns the JSON that Ansible would read."""

    def call(module_name: str, /, check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {**options, "uri": TEST_URI, "_ansible_check_mode": check}
        capsys.readouterr()
        with patch_module_args(arguments), pytest.raises(SystemExit) as ended:
            module(module_name).main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert bool(ended.value.code) == bool(result.get("failed"))
        return result

    return call


def check_then_real_then_again(run: Run, module_name: str, /, **options: Any) -> dict[str, Any]:
    foretold = run(module_name, check=True, **options)
    real = run(module_name, **options)
    assert foretold["changed"] is real["changed"] is True
    assert foretold["diff"] == real["diff"]
    again = run(module_name, **options)
    assert again["changed"] is False
    assert again["diff"] == {"before": {}, "after": {}}
    return real


def test_a_guests_life(run: Run, host: LibvirtHost) -> None:
    guest = {"name": "admin.web1", "id": "6a2e3f10-8b1c-4b7e-9a55-0d9d7c1f2e3a"}
    made = check_then_real_then_again(
        run, "guest", **guest, cores=2, memory_bytes=2**28, disks=[{"size_bytes": 2**30}]
    )
    assert made["created"]
    check_then_real_then_again(run, "guest_power", **guest, state="running")
    changed = check_then_real_then_again(run, "guest", **guest, cores=4)
    assert changed["restart_required"] == ["cores"]
    shown = run("guest_info", id=guest["id"])["guests"]
    assert shown[0]["restart_required"] == ["cores"]
    assert run("guest", **guest, state="absent")["error"]["code"] == "conflict"
    check_then_real_then_again(run, "guest_power", **guest, state="stopped")
    check_then_real_then_again(run, "guest", **guest, state="absent")
    assert run("guest_info", id=guest["id"])["guests"] == []
    assert host.find_domain(guest["id"], None) is None


def test_a_pools_life(run: Run, host: LibvirtHost) -> None:
    made = check_then_real_then_again(run, "storage_pool", name="p", path="/srv/p")
    assert made["pool"]["state"] == "active"
    check_then_real_then_again(run, "storage_pool", name="p", state="absent")
    assert host.find_pool("p") is None


def test_an_image_and_the_host(run: Run, host: LibvirtHost, tmp_path: Path) -> None:
    source = tmp_path / "disk.raw"
    source.write_bytes(b"\0" * 2**20)
    options = {"id": "blank", "url": source.as_uri(), "format": "raw"}
    made = check_then_real_then_again(run, "image", **options)
    assert made["image"]["virtual_size_bytes"] == 2**20
    assert host.find_pool("nano-images") is not None
    assert run("cell_info")["cell"]["cores"] == 16


@pytest.mark.usefixtures("host")
def test_errors_have_a_code_and_name_the_object(run: Run) -> None:
    failed = run("guest", name="a b", cores=2)
    assert failed["error"]["code"] == "invalid_input"
    assert failed["error"]["context"] == {"field": "name"}
    assert failed["msg"] == failed["error"]["message"]
    assert run("guest_power", name="nobody", state="running")["error"]["code"] == "not_found"
    assert run("guest")["failed"]


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {"uri": "qemu+unix:///system?socket=/nowhere"}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        module("cell_info").main()
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unreachable"


@pytest.mark.usefixtures("host")
def test_what_nobody_foresaw_still_has_our_form(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_host: LibvirtHost) -> Any:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(module("cell_info"), "read_cell", breaks)
    failed = run("cell_info")
    assert failed["error"]["code"] == "internal"
    assert "ZeroDivisionError: oops" in failed["msg"]


@pytest.mark.usefixtures("host")
def test_passwords_do_not_come_back(run: Run) -> None:
    options = {"name": "g", "cores": 1, "memory_bytes": 2**28, "display": {"password": "s3cr3t"}}
    assert "s3cr3t" not in json.dumps(run("guest", **options))


def documentation(name: str) -> dict[str, Any]:
    """A module's documentation with its fragments."""
    found: dict[str, Any] = yaml.safe_load(module(name).DOCUMENTATION)
    for reference in found.get("extends_documentation_fragment", []):
        _namespace, _collection, fragment, *section = reference.split(".")
        owner = importlib.import_module(f"{PACKAGE}.doc_fragments.{fragment}").ModuleDocFragment
        text = getattr(owner, section[0].upper() if section else "DOCUMENTATION")
        part = yaml.safe_load(text)
        for key in ("options", "attributes"):
            found[key] = {**part.get(key, {}), **found.get(key, {})}
    return found


class _Stop(Exception):
    pass


def argument_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The argument spec with which a module really creates its AnsibleModule."""
    caught: dict[str, Any] = {}

    def record(**options: Any) -> None:
        caught.update(options)
        raise _Stop

    monkeypatch.setattr(module_runner, "AnsibleModule", record)
    with pytest.raises(_Stop):
        module(name).main()
    assert caught["supports_check_mode"] is True
    spec: dict[str, Any] = caught["argument_spec"]
    return spec


def assert_same_options(documented: dict[str, Any], spec: dict[str, Any]) -> None:
    assert sorted(documented) == sorted(spec)
    for name, option in spec.items():
        text = documented[name]
        assert text["description"], name
        for key in ("type", "default", "elements"):
            assert text.get(key) == option.get(key), f"{name}: {key}"
        assert text.get("required", False) == option.get("required", False), name
        assert text.get("choices") == option.get("choices"), name
        if "options" in option:
            assert_same_options(text["suboptions"], option["options"])


@pytest.mark.parametrize("name", NAMES)
def test_documentation_says_what_the_options_are(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    documented = documentation(name)
    assert documented["module"] == name
    assert_same_options(documented["options"], argument_spec(name, monkeypatch))
    attributes = {"check_mode", "diff_mode", "idempotent", "platform", "action_group"}
    assert set(documented["attributes"]) == attributes


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_tasks_that_pass_the_options(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = argument_spec(name, monkeypatch)
    tasks = yaml.safe_load(module(name).EXAMPLES)
    own = [task[f"nano.cloud.{name}"] or {} for task in tasks if f"nano.cloud.{name}" in task]
    assert own
    for arguments in own:
        rendered = json.loads(json.dumps(arguments).replace("{{ 2 * 1024 ** 3 }}", "2147483648")
            .replace("{{ 20 * 1024 ** 3 }}", "21474836480")
            .replace("{{ 50 * 1024 ** 3 }}", "53687091200"))  # fmt: skip
        assert not ArgumentSpecValidator(spec).validate(rendered).error_messages


def covers(documented: dict[str, Any], value: Any, where: str) -> None:
    """Every key that comes back is documented, and the other way round."""
    if "contains" not in documented or value is None:
        return
    for each in value if isinstance(value, list) else [value]:
        assert sorted(each) == sorted(documented["contains"]), where
        for key, inner in documented["contains"].items():
            covers(inner, each[key], f"{where}.{key}")


def test_returns_are_documented(run: Run, host: LibvirtHost) -> None:
    assert host.find_pool("default") is not None
    guest = {"name": "g", "cores": 1, "memory_bytes": 2**28, "disks": [{"size_bytes": 2**30}]}
    results = {
        "guest": {**run("guest", **guest), "results": []},
        "guest_info": run("guest_info"),
        "guest_power": {
            **run("guest_power", name="g", state="running"),
            **run("guest_power", guests=[{"name": "g"}], state="running"),
        },
        "storage_pool": run("storage_pool", name="default"),
        "cell_info": run("cell_info"),
    }
    assert check_guest_id(results["guest"]["guest"]["id"])
    for name, result in results.items():
        documented = yaml.safe_load(module(name).RETURN)
        own = {key for key in result if key not in ("changed", "diff", "invocation", "warnings")}
        assert own == set(documented), name
        for key, text in documented.items():
            covers(text, result[key], f"{name}.{key}")


def test_action_group_is_in_step() -> None:
    runtime = yaml.safe_load((COLLECTION / "meta/runtime.yml").read_text())
    assert runtime["action_groups"]["all"] == NAMES
