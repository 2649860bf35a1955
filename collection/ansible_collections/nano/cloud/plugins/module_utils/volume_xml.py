# SPDX-License-Identifier: BSD-2-Clause
"""Storage volumes: spec ↔ volume XML. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .xml_tree import Element, add, attribute_of, element, parse_xml, text_of, to_text


@dataclass(frozen=True)
class VolumeSpec:
    """A volume. ``backing_path`` ``""``: it stands alone; sizes are what the guest sees."""

    name: str
    size_bytes: int
    format: str = "qcow2"
    backing_path: str = ""
    backing_format: str = ""


def build(spec: VolumeSpec, private: bool = False) -> str:
    """The XML to create a volume: nothing allocated beforehand, modern qcow2.

    ``private`` says what is libvirt's habit anyway: only its owner reads the file.
    """
    root = element("volume", type="file")
    add(root, "name", spec.name)
    add(root, "capacity", str(spec.size_bytes), unit="bytes")
    add(root, "allocation", "0", unit="bytes")
    target = add(root, "target")
    add(target, "format", type=spec.format)
    if private:
        add(add(target, "permissions"), "mode", "0600")
    if spec.format == "qcow2":
        add(target, "compat", "1.1")
    if spec.backing_path:
        backing = add(root, "backingStore")
        add(backing, "path", spec.backing_path)
        # Never left to QEMU's guess: the content of a raw image is the guest's to write.
        add(backing, "format", type=spec.backing_format)
    return to_text(root)


def parse(xml: str) -> VolumeSpec:
    """The spec of an existing volume."""
    root = parse_xml(xml)
    return VolumeSpec(
        name=root.findtext("name") or "",
        size_bytes=int(text_of(root, "capacity") or "0"),
        format=attribute_of(root, "./target/format", "type"),
        backing_path=_path(root),
        backing_format=attribute_of(root, "./backingStore/format", "type"),
    )


def _path(root: Element) -> str:
    return root.findtext("./backingStore/path") or ""
