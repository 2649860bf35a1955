# SPDX-License-Identifier: BSD-2-Clause
"""Security policies: spec ↔ libvirt's network filter. Pure.

A policy is about what comes to the guest. What the guest sends, and the answers to it, always
pass; so do ARP, DHCP's answers and the neighbour discovery of IPv6, without which a guest has no
network to protect. Rules keep their order by priority, which is also how they are found again:
one rule of ours is several of libvirt's, one for each range of ports and version of IP.
"""

from __future__ import annotations

import ipaddress
from typing import Dict, Iterator, List, Optional, Tuple

from .names import filter_name
from .policy_spec import PolicyRule, PolicySpec
from .xml_tree import Element, add, element, parse_xml, remove_all, to_text

_ALWAYS_PRIORITY = 0
_FIRST_PRIORITY = 100
_LAST_PRIORITY = 1000

#: protocol → libvirt's elements for versions 4 and 6 of IP.
_TAGS = {
    "tcp": ("tcp", "tcp-ipv6"),
    "udp": ("udp", "udp-ipv6"),
    "icmp": ("icmp", "icmpv6"),
    "all": ("all", "all-ipv6"),
}
_PROTOCOLS = {tag: protocol for protocol, tags in _TAGS.items() for tag in tags}


def build(spec: PolicySpec, uuid: Optional[str]) -> str:
    """The filter's XML; with the ``uuid`` of an existing one it replaces that in one step."""
    root = element("filter", name=filter_name(spec.name), chain="root")
    if uuid:
        add(root, "uuid", uuid)
    for tag in _TAGS["all"]:
        add(_rule(root, "accept", "out", _ALWAYS_PRIORITY), tag)
    answer = {"srcportstart": "67", "dstportstart": "68"}
    add(_rule(root, "accept", "in", _ALWAYS_PRIORITY), "udp", **answer)
    answer = {"srcportstart": "547", "dstportstart": "546"}
    add(_rule(root, "accept", "in", _ALWAYS_PRIORITY), "udp-ipv6", **answer)
    for kind in ("134", "135", "136"):
        add(_rule(root, "accept", "in", _ALWAYS_PRIORITY), "icmpv6", type=kind)
    for index, rule in enumerate(spec.rules):
        for tag, attributes in _parts(rule):
            add(_rule(root, rule.action, "in", _FIRST_PRIORITY + index), tag, **attributes)
    for tag in _TAGS["all"]:
        add(_rule(root, spec.default_action, "in", _LAST_PRIORITY), tag)
    return to_text(root)


def parse(xml: str, name: str) -> PolicySpec:
    """The policy that a filter of ours stands for."""
    rules: Dict[int, List[Tuple[str, Element]]] = {}
    default = "accept"
    for rule in parse_xml(xml).findall("./rule"):
        priority, action = int(rule.get("priority", "500")), rule.get("action", "")
        if priority == _LAST_PRIORITY:
            default = action
        elif priority >= _FIRST_PRIORITY and rule.get("direction") == "in":
            rules.setdefault(priority, []).extend((action, part) for part in rule)
    ordered = tuple(_read(parts) for _priority, parts in sorted(rules.items()))
    return PolicySpec(name, default, ordered)


def uuid_of(xml: str) -> str:
    """The filter's own id."""
    return parse_xml(xml).findtext("uuid") or ""


def with_uuid(xml: str, uuid: str) -> str:
    """The filter for another host: with the id that it has there, or none yet."""
    root = parse_xml(xml)
    remove_all(root, "uuid")
    if uuid:
        root.insert(0, element("uuid"))
        root[0].text = uuid
    return to_text(root)


def _rule(root: Element, action: str, direction: str, priority: int) -> Element:
    return add(root, "rule", action=action, direction=direction, priority=str(priority))


def _parts(rule: PolicyRule) -> Iterator[Tuple[str, Dict[str, str]]]:
    versions = {6 if ":" in each else 4 for each in (rule.source, rule.target) if each} or {4, 6}
    for tag, version in zip(_TAGS[rule.protocol], (4, 6)):
        if version not in versions:
            continue
        attributes = {**_addresses("src", rule.source), **_addresses("dst", rule.target)}
        if not rule.ports:
            yield tag, attributes
        for first, last in rule.ports:
            ports = {"dstportstart": str(first)}
            if last != first:
                ports["dstportend"] = str(last)
            yield tag, {**attributes, **ports}


def _addresses(side: str, network: str) -> Dict[str, str]:
    if not network:
        return {}
    found = ipaddress.ip_network(network)
    return {
        f"{side}ipaddr": str(found.network_address),
        f"{side}ipmask": str(found.prefixlen),
    }


def _read(parts: List[Tuple[str, Element]]) -> PolicyRule:
    action, first = parts[0]
    protocol = _PROTOCOLS.get(first.tag, first.tag)
    ports = dict.fromkeys(
        (int(start), int(part.get("dstportend", start)))
        for start, part in ((part.get("dstportstart"), part) for _action, part in parts)
        if start
    )
    source, target = _network(first, "src"), _network(first, "dst")
    return PolicyRule(action, protocol, tuple(ports), source, target)


def _network(part: Element, side: str) -> str:
    address = part.get(f"{side}ipaddr")
    if not address:
        return ""
    mask = part.get(f"{side}ipmask") or ("128" if ":" in address else "32")
    return str(ipaddress.ip_network(f"{address}/{mask}", strict=False))
