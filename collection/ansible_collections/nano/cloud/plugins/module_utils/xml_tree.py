# SPDX-License-Identifier: BSD-2-Clause
"""XML in and out, without entities, and the few tree operations that the XML builders share."""

from __future__ import annotations

import io
import re
from typing import Dict, Optional
from xml.etree import ElementTree

from .errors import HypervisorError

Element = ElementTree.Element
_RESERVED_PREFIX = re.compile(r"ns\d+")


def parse_xml(text: str, keep_prefixes: bool = False) -> Element:
    """Text → root element. ``keep_prefixes``: it will be written again with the same ones.

    :raises HypervisorError: not well formed, or with a DOCTYPE (the door to entity attacks;
        libvirt never writes one).
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise HypervisorError("XML with a document type or entities is refused")
    builder = ElementTree.TreeBuilder(insert_comments=True, insert_pis=True)
    try:
        root = ElementTree.XML(text, parser=ElementTree.XMLParser(target=builder))
    except ElementTree.ParseError as error:
        raise HypervisorError(f"XML that cannot be parsed: {error}") from error
    # Python's serialiser invents prefixes (ns0); readers of `virsh dumpxml` know the real ones.
    for prefix, uri in (_namespaces(text) if keep_prefixes else {}).items():
        if prefix and not _RESERVED_PREFIX.fullmatch(prefix):
            register_prefix(prefix, uri)
    return root


def _namespaces(text: str) -> Dict[str, str]:
    if "xmlns" not in text:
        return {}
    events = ElementTree.iterparse(io.BytesIO(text.encode()), events=("start-ns",))
    return {prefix: uri for _event, (prefix, uri) in events}


def to_text(root: Element) -> str:
    """Root element → indented text without an XML declaration."""
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def element(tag: str, **attributes: str) -> Element:
    """A root element, or one still to be placed."""
    return ElementTree.Element(tag, attributes)


def register_prefix(prefix: str, uri: str) -> None:
    """Write elements of that namespace with that prefix."""
    ElementTree.register_namespace(prefix, uri)


def add(parent: Element, tag: str, text: Optional[str] = None, **attributes: str) -> Element:
    """Append a child; attributes keep the order in which they are given."""
    child = ElementTree.SubElement(parent, tag, attributes)
    child.text = text
    return child


def child_of(parent: Element, tag: str) -> Element:
    """The first child of that tag, appended when there is none."""
    found = parent.find(tag)
    return found if found is not None else ElementTree.SubElement(parent, tag)


def set_text(parent: Element, tag: str, text: str, **attributes: str) -> Element:
    """Make ``<tag attributes>text</tag>`` of the first child of that tag; other attributes go."""
    child = child_of(parent, tag)
    child.text = text
    child.attrib.clear()
    child.attrib.update(attributes)
    return child


def remove_all(parent: Element, tag: str) -> None:
    """Remove every child of that tag."""
    for child in parent.findall(tag):
        parent.remove(child)


def text_of(parent: Element, path: str) -> str:
    """The stripped text at a path, ``""`` when it is not there."""
    return (parent.findtext(path) or "").strip()


def attribute_of(parent: Element, path: str, name: str) -> str:
    """An attribute at a path, ``""`` when the element or the attribute is not there."""
    found = parent.find(path)
    return "" if found is None else found.get(name, "")
