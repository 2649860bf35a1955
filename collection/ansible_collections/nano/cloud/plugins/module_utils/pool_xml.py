# SPDX-License-Identifier: BSD-2-Clause
"""Storage pools: spec ↔ pool XML. Pure."""

from __future__ import annotations

from typing import Tuple

from .pool_spec import NETWORK_TYPES, PoolSpec
from .xml_tree import (
    Element,
    add,
    attribute_of,
    element,
    parse_xml,
    register_prefix,
    text_of,
    to_text,
)

_MOUNT_URI = "http://libvirt.org/schemas/storagepool/fs/1.0"
_MOUNT_OPTIONS = f"{{{_MOUNT_URI}}}mount_opts"
_MOUNT_OPTION = f"{{{_MOUNT_URI}}}option"

# Pools of libvirt whose content is elsewhere: the same source is the same content on every host.
_SHARED_TYPES = ("netfs", "gluster", "rbd", "iscsi", "iscsi-direct", "sheepdog", "vstorage")


def build(spec: PoolSpec) -> str:
    """The XML to define a pool."""
    root = element("pool", type="netfs" if spec.type in NETWORK_TYPES else spec.type)
    add(root, "name", spec.name)
    if spec.type != "dir":
        _add_source(root, spec)
    if spec.path:
        add(add(root, "target"), "path", spec.path)
    _set_mount_options(root, spec.mount_options)
    return to_text(root)


def _add_source(root: Element, spec: PoolSpec) -> None:
    source = add(root, "source")
    if spec.type in NETWORK_TYPES:
        add(source, "host", name=spec.host)
        add(source, "dir", path=spec.source)
        add(source, "format", type=spec.type)
    elif spec.type == "logical":
        add(source, "name", spec.source)
        add(source, "format", type="lvm2")
    else:
        for monitor in spec.monitors:
            host, port = _host_and_port(monitor)
            add(source, "host", name=host, **({"port": port} if port else {}))
        add(source, "name", spec.source)
        if spec.secret_uuid:
            user = spec.ceph_user or "admin"
            add(add(source, "auth", type="ceph", username=user), "secret", uuid=spec.secret_uuid)


def _host_and_port(monitor: str) -> Tuple[str, str]:
    if monitor.startswith("["):
        host, _bracket, rest = monitor[1:].partition("]")
        return host, rest.lstrip(":")
    host, _colon, port = monitor.partition(":")
    return host, port


def _set_mount_options(root: Element, options: Tuple[str, ...]) -> None:
    old = root.find(_MOUNT_OPTIONS)
    if old is not None:
        root.remove(old)
    if options:
        register_prefix("fs", _MOUNT_URI)
        parent = add(root, _MOUNT_OPTIONS)
        for option in options:
            add(parent, _MOUNT_OPTION, name=option)


def with_mount_options(xml: str, options: Tuple[str, ...]) -> str:
    """An existing definition with other mount options; everything else stays."""
    root = parse_xml(xml, keep_prefixes=True)
    _set_mount_options(root, options)
    return to_text(root)


def parse(xml: str) -> PoolSpec:
    """The spec of an existing pool; ``path`` is ``""`` for kinds without one.

    Types that we do not make are told by libvirt's name.
    """
    root = parse_xml(xml)
    kind, source_format = root.get("type", ""), attribute_of(root, "./source/format", "type")
    if kind == "netfs" and source_format in NETWORK_TYPES:
        kind = source_format
    source = text_of(root, "./source/name")
    if kind in NETWORK_TYPES:
        source = attribute_of(root, "./source/dir", "path")
    if kind == "glusterfs":
        source = source.lstrip("/")
    return PoolSpec(
        name=root.findtext("name") or "",
        type=kind,
        path=text_of(root, "./target/path"),
        host=attribute_of(root, "./source/host", "name") if kind in NETWORK_TYPES else "",
        source=source,
        mount_options=tuple(
            option.get("name", "") for option in root.iterfind(f"./{_MOUNT_OPTIONS}/*")
        ),
        monitors=_monitors(root) if kind == "rbd" else (),
        ceph_user=attribute_of(root, "./source/auth", "username"),
        secret_uuid=attribute_of(root, "./source/auth/secret", "uuid"),
    )


def _monitors(root: Element) -> Tuple[str, ...]:
    found = []
    for host in root.iterfind("./source/host"):
        name, port = host.get("name", ""), host.get("port", "")
        name = f"[{name}]" if ":" in name else name
        found.append(f"{name}:{port}" if port else name)
    return tuple(found)


def is_shared(xml: str) -> bool:
    """Whether other hosts can see the same content."""
    return parse_xml(xml).get("type") in _SHARED_TYPES


def same_content(xml: str, other: str) -> bool:
    """Whether two hosts' pools are the same storage."""
    if not is_shared(xml) or parse_xml(xml).get("type") != parse_xml(other).get("type"):
        return False
    sources = [parse_xml(each).find("source") for each in (xml, other)]
    return len({"" if each is None else to_text(each) for each in sources}) == 1
