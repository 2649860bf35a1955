# SPDX-License-Identifier: Apache-2.0
"""The role's own modules, as far as they need no host of their own."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LIBRARY = Path(__file__).resolve().parents[2] / "roles/cell/library"

from ansible_collections.nano.cloud.plugins.module_utils.errors import (  # isort: skip  # noqa: E402
    InvalidInput,
    Unsupported,
)


def library_module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, LIBRARY / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0="


def peer(name: str, **more: Any) -> dict[str, Any]:
    values = {"address": "192.0.2.9", "hostname": name, "public_key": KEY, "host_keys": [KEY]}
    return {"name": name, **values, **more}


@pytest.fixture
def peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module with its three files in a folder; no name resolves by itself there."""
    module = library_module("cell_peers")
    for name in ("AUTHORIZED_KEYS", "KNOWN_HOSTS", "HOSTS"):
        monkeypatch.setattr(module, name, str(tmp_path / name))
    return module


def ensure(module: ModuleType, given: list[dict[str, Any]], members: list[str], **more: Any) -> Any:
    params = {"peers": given, "members": members, "hosts_entries": "auto", **more}
    return module.ensure(params, False)


def test_peers_are_added_kept_and_removed(peers: ModuleType, tmp_path: Path) -> None:
    keys = tmp_path / "AUTHORIZED_KEYS"
    keys.write_text("ssh-rsa AAAA somebody\n")
    keys.chmod(0o600)
    one, two = peer("one.invalid"), peer("two.invalid")
    both = ["one.invalid", "two.invalid"]
    assert ensure(peers, [one, two], both)["changed"]
    assert not ensure(peers, [one, two], both)["changed"]
    # A run for one cell does not make the other a stranger.
    assert ensure(peers, [one], both)["peers"] == both
    assert not ensure(peers, [one], both)["changed"]
    # A cell that left the inventory is forgotten.
    assert ensure(peers, [one], ["one.invalid"])["peers"] == ["one.invalid"]
    lines = keys.read_text().splitlines()
    assert lines[0] == "ssh-rsa AAAA somebody"
    assert len([line for line in lines if "nano-cloud two" in line]) == 0
    assert keys.stat().st_mode & 0o777 == 0o600


def test_names_that_resolve_are_not_written(peers: ModuleType, tmp_path: Path) -> None:
    ensure(peers, [peer("localhost"), peer("one.invalid")], ["localhost", "one.invalid"])
    text = (tmp_path / "HOSTS").read_text()
    assert "192.0.2.9 one.invalid" in text
    assert "localhost" not in text
    ensure(peers, [peer("one.invalid")], ["one.invalid"], hosts_entries="never")
    assert "one.invalid" not in (tmp_path / "HOSTS").read_text()


def test_check_mode_writes_nothing(peers: ModuleType, tmp_path: Path) -> None:
    params = {"peers": [peer("one")], "members": ["one"], "hosts_entries": "always"}
    result = peers.ensure(params, True)
    assert result["changed"]
    assert len(result["diff"]) == 3
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "bad",
    [
        {"hostname": "a b"},
        {"address": "192.0.2.9\n192.0.2.10 bank"},
        {"public_key": f"{KEY}\n{KEY}"},
        {"public_key": f'command="x" {KEY}'},
    ],
)
def test_a_peer_cannot_write_lines_of_its_own(peers: ModuleType, bad: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        ensure(peers, [peer("one", **bad)], ["one"])


def test_a_missing_feature_is_named_with_its_purpose(tmp_path: Path) -> None:
    kernel = library_module("cell_kernel")
    feature = {"module": "nosuchmodule", "path": str(tmp_path / "x"), "purpose": "the test"}
    with pytest.raises(Unsupported, match="lacks nosuchmodule, which the test needs"):
        kernel.ensure_features([feature], False)


def test_a_built_in_feature_needs_no_module(tmp_path: Path) -> None:
    kernel = library_module("cell_kernel")
    feature = {"module": "nosuchmodule", "path": str(tmp_path), "purpose": "the test"}
    assert kernel.ensure_features([feature], False) == []


def test_modules_are_loaded_where_the_kernel_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a modprobe that makes the feature appear, as the real one does."""
    kernel = library_module("cell_kernel")
    path = tmp_path / "feature"
    modprobe = tmp_path / "modprobe"
    modprobe.write_text(f"#!/bin/sh\n[ \"$*\" = '-b some_module' ] && touch {path}\n")
    modprobe.chmod(0o755)
    monkeypatch.setattr(kernel, "has_loadable_modules", lambda: True)
    monkeypatch.setattr(kernel.shutil, "which", lambda *_, **__: str(modprobe))
    feature = {"module": "some_module", "path": str(path), "purpose": "the test"}
    assert kernel.ensure_features([feature], True) == ["some_module"]
    assert not path.exists()
    assert kernel.ensure_features([feature], False) == ["some_module"]
    assert kernel.ensure_features([feature], False) == []


def test_parameters_are_set_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = library_module("cell_kernel")
    monkeypatch.setattr(kernel, "_path_of", lambda name: str(tmp_path / name))
    (tmp_path / "net.x").write_text("0\n")
    assert kernel.ensure_parameters({"net.x": 1}, True) == [("net.x", "0", "1")]
    assert kernel.ensure_parameters({"net.x": 1}, False) == [("net.x", "0", "1")]
    assert kernel.ensure_parameters({"net.x": 1}, False) == []
    with pytest.raises(Unsupported, match=r"no parameter net\.y"):
        kernel.ensure_parameters({"net.y": 1}, False)


def test_a_key_is_made_once_and_its_public_half_returned(tmp_path: Path) -> None:
    identity = library_module("cell_identity")
    params = {"name": "one", "address": "192.0.2.9", "path": str(tmp_path / "key"), "create": True}
    assert identity.ensure(params, True)["changed"]
    assert not (tmp_path / "key").exists()
    first, second = identity.ensure(params, False), identity.ensure(params, False)
    assert first["changed"]
    assert not second["changed"]
    assert first["identity"] == second["identity"]
    assert first["identity"]["public_key"].startswith("ssh-ed25519 ")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_selinux_is_asked_for_booleans_that_are_there_and_off(tmp_path: Path) -> None:
    module = library_module("cell_selinux")
    (tmp_path / "virt_use_nfs").write_text("0 0")
    (tmp_path / "virt_use_fusefs").write_text("1 1")
    names = ["virt_use_nfs", "virt_use_fusefs", "of_another_policy"]
    assert module.those_off(names, tmp_path) == ["virt_use_nfs"]
    assert module.those_off(names, tmp_path / "without_selinux") == []
