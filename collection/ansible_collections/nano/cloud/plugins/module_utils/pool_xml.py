# SPDX-License-Identifier: BSD-2-Clause
"""Storage pools: spec ↔ pool XML. Pure."""

from __future__ import annotations

from .pool_spec import PoolSpec
from .xml_tree import add, element, parse_xml, text_of, to_text


def build(spec: PoolSpec) -> str:
    """The XML to define a pool."""
    root = element("pool", type=spec.type)
    add(root, "name", spec.name)
    target = add(root, "target")
    add(target, "path", spec.path)
    return to_text(root)


def parse(xml: str) -> PoolSpec:
    """The spec of an existing pool; ``path`` is ``""`` for kinds without one."""
    root = parse_xml(xml)
    return PoolSpec(
        name=root.findtext("name") or "",
        type=root.get("type", ""),
        path=text_of(root, "./target/path"),
    )
