# SPDX-License-Identifier: Apache-2.0
"""AWX's job templates ask for what the playbooks need, and for nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from nano_api.content import PLAYBOOKS


class Loader(yaml.SafeLoader):
    """YAML with Ansible's tag for text that is not templated."""


Loader.add_constructor("!unsafe", lambda loader, node: str(loader.construct_scalar(node)))  # type: ignore[arg-type]

FILE = yaml.load((PLAYBOOKS / "vars/awx_templates.yml").read_text(), Loader)
TEMPLATES: list[dict[str, Any]] = FILE["awx_templates"]


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: str(template["name"]))
def test_a_template_fits_its_playbook(template: dict[str, Any]) -> None:
    lines = (PLAYBOOKS / template["playbook"]).read_text().split("\n- ")[0]
    documented = set(re.findall(r"^# +((?:nano|cell)_\w+)", lines, re.M))
    assert set(template["variables"]) <= documented
    asked = {question["variable"] for question in template["survey"]}
    used = {name for text in texts(template["variables"]) for name in re.findall(r"{{ (\w+)", text)}
    assert asked == used
    for question in template["survey"]:
        assert question["type"] in {"text", "integer", "multiplechoice"}
        assert question["question_name"]


def test_names_are_unique_and_the_workflow_uses_them() -> None:
    names = [template["name"] for template in TEMPLATES]
    assert len(set(names)) == len(names)
    nodes = {node["identifier"]: node for node in FILE["awx_renewal"]}
    for node in nodes.values():
        assert node["unified_job_template"]["name"] in names
        for following in node.get("related", {}).get("success_nodes", []):
            assert following["identifier"] in nodes
