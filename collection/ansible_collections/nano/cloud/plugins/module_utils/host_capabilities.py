# SPDX-License-Identifier: BSD-2-Clause
"""What a host can run, from libvirt's capabilities and the kernel's own word. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import List, Tuple

from .xml_tree import attribute_of, parse_xml, text_of


@dataclass(frozen=True)
class HostCapabilities:
    """``domain_types`` that really work for ``arch``, the best one first; never empty."""

    arch: str
    domain_types: Tuple[str, ...]
    emulator: str = ""

    @property
    def best_domain_type(self) -> str:
        """What ``domain_type=auto`` means here."""
        return self.domain_types[0]


def parse_capabilities(xml: str, kvm_works: bool) -> HostCapabilities:
    """libvirt's capabilities XML → the host's own architecture and its usable domain types.

    ``kvm_works`` false takes KVM out although libvirt lists it: libvirt only looks for
    /dev/kvm, which exists on hosts where a KVM guest hangs at its first instruction.
    """
    root = parse_xml(xml)
    arch = text_of(root, "./host/cpu/arch")
    listed: List[str] = []
    emulator = ""
    for guest in root.findall("./guest"):
        if text_of(guest, "os_type") != "hvm" or attribute_of(guest, "arch", "name") != arch:
            continue
        emulator = emulator or text_of(guest, "arch/emulator")
        listed += [domain.get("type", "") for domain in guest.findall("./arch/domain")]
    usable = [name for name in listed if name != "kvm" or kvm_works]
    ranked = sorted(dict.fromkeys(usable), key=lambda name: (name != "kvm", name != "qemu"))
    return HostCapabilities(arch, tuple(ranked) or ("qemu",), emulator)


def cpu_can_virtualise(arch: str, cpuinfo: str) -> bool:
    """Whether /proc/cpuinfo promises hardware virtualisation; only x86 writes it there."""
    if arch not in ("x86_64", "i686"):
        return True
    return re.search(r"^flags\s*:.*\b(vmx|svm)\b", cpuinfo, re.MULTILINE) is not None
