# SPDX-License-Identifier: Apache-2.0
"""500 hostile texts on every way inwards: none is evaluated, none changes a structure."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import domain_xml, guest_defaults
from ansible_collections.nano.cloud.plugins.module_utils.errors import CloudError
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import guest_request
from ansible_collections.nano.cloud.plugins.module_utils.names import (
    check_snapshot_name,
    check_text,
)
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_tree import Snapshot, SnapshotTree
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_xml import read_tree, write_tree
from nano_api.worker.untrusted import encode_untrusted
from tests.golden.test_domain_golden import GUEST_ID, KVM
from tests.worker.hostile_texts import COUNT, PRODUCT, hostile_texts

#: What a real playbook does with variables: loops, options of modules, conditions, facts, names.
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Conditions and facts
      ansible.builtin.set_fact:
        kept: "{{ texts }}"
      when: texts | length > 0
    - name: "A name with {{ texts[0] }}"
      ansible.builtin.copy:
        content: "{{ {'kept': kept, 'looped': kept | map('string') | list} | to_json }}"
        dest: "{{ output }}"
        mode: "0600"
    - name: Each for itself
      ansible.builtin.assert:
        that: item is string
        quiet: true
      loop: "{{ texts[:40] }}"
"""


@pytest.fixture
def texts(tmp_path: Path) -> list[str]:
    found = hostile_texts(str(tmp_path / "canary"))
    assert len(set(found)) == COUNT
    assert not any(PRODUCT in text for text in found)
    return found


def test_ansible_evaluates_none_of_them(tmp_path: Path, texts: list[str]) -> None:
    playbook, variables, output = (tmp_path / name for name in ("p.yml", "v.json", "out.json"))
    playbook.write_text(PLAYBOOK)
    given = encode_untrusted({"texts": texts, "output": str(output)})
    variables.write_text(json.dumps(given))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,"]
    done = subprocess.run(
        [*command, "-c", "local", "-e", f"@{variables}", str(playbook)],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "ANSIBLE_NOCOLOR": "1"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    kept = json.loads(output.read_text())
    assert kept["kept"] == texts
    assert kept["looped"] == texts
    assert PRODUCT not in done.stdout + output.read_text()
    assert not (tmp_path / "canary").exists()


def test_none_changes_the_structure_of_a_definition(tmp_path: Path, texts: list[str]) -> None:
    request = guest_request({"name": "team.web", "memory_bytes": 1 << 30, "cores": 1})
    base = guest_defaults.new_guest(request, GUEST_ID, KVM)
    shape = _shape(domain_xml.build(base))
    outcomes: Counter[str] = Counter()
    for text in texts:
        for field in ("owner", "group", "template"):
            try:
                check_text(text, field)
            except CloudError:
                outcomes["refused"] += 1
                continue
            spec = dataclasses.replace(base, **{field: text})
            xml = domain_xml.build(spec)
            assert _shape(xml) == shape, text
            assert domain_xml.parse(xml) == spec, text
            outcomes["kept"] += 1
    assert outcomes.total() == 3 * COUNT
    assert outcomes["kept"] > COUNT
    assert not (tmp_path / "canary").exists()


def test_none_changes_the_structure_of_snapshots(texts: list[str]) -> None:
    """Their names and descriptions are free texts, and stand in the guest's definition."""
    plain = SnapshotTree((Snapshot("one", "", "as it came", 1, ()),), current="one")
    shape = _shape(_written(plain))
    outcomes: Counter[str] = Counter()
    for text in texts:
        for check, snapshot in (
            (check_snapshot_name, Snapshot(text, text, "", 1, ())),
            (check_text, Snapshot("one", "", text, 1, ())),
        ):
            try:
                check(text, "text")
            except CloudError:
                outcomes["refused"] += 1
                continue
            tree = SnapshotTree((snapshot,), current=snapshot.name)
            xml = _written(tree)
            assert _shape(xml) == shape, text
            assert read_tree(ElementTree.fromstring(xml)) == tree, text
            outcomes["kept"] += 1
    assert outcomes.total() == 2 * COUNT
    assert outcomes["kept"] > COUNT


def _written(tree: SnapshotTree) -> str:
    guest = ElementTree.Element("guest")
    write_tree(guest, tree)
    return ElementTree.tostring(guest, "unicode")


def _shape(xml: str) -> Counter[str]:
    return Counter(element.tag for element in ElementTree.fromstring(xml).iter())
