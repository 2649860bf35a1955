# SPDX-License-Identifier: BSD-2-Clause
"""What a cell has and how busy it is."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, List, Optional

from .constants import DEFAULT_POOL
from .errors import Unsupported
from .libvirt_host import LibvirtHost
from .pool_service import read_pools

_CPU_SAMPLE_SECONDS = 0.2
_NETWORK_DEVICES = "/sys/class/net"


def read_cell(host: LibvirtHost) -> Dict[str, Any]:
    """The cell as plain values; sizes in bytes. None stands where its libvirt cannot tell."""
    cores, memory = host.cores_and_memory()
    memory_statistics = _memory_statistics(host)
    libvirt_version, qemu_version = host.versions()
    running = [domain.is_active() for domain in host.domains()]
    pools = read_pools(host)
    disk = next((pool for pool in pools if pool["name"] == DEFAULT_POOL), None)
    return {
        "hostname": host.hostname(),
        "cores": cores,
        # Where memory was added after boot, libvirt's own summary of the host is too low.
        "memory_bytes": (memory_statistics or {}).get("total", memory),
        "memory_available_bytes": _available_memory(memory_statistics),
        "cpu_usage_percent": _cpu_usage_percent(host),
        "libvirt_version": libvirt_version,
        "qemu_version": qemu_version,
        "domain_types": list(host.capabilities().domain_types),
        "pools": pools,
        "bridges": _bridges(host),
        "guests_running": sum(running),
        "guests_stopped": len(running) - sum(running),
        "disk_bytes": disk["capacity_bytes"] if disk else 0,
        "disk_available_bytes": disk["available_bytes"] if disk else 0,
    }


def _memory_statistics(host: LibvirtHost) -> Optional[Dict[str, int]]:
    try:
        return host.memory_statistics()
    except Unsupported:
        return None


def _available_memory(statistics: Optional[Dict[str, int]]) -> Optional[int]:
    """What is free or can be freed at once: buffers and page cache count as free."""
    if statistics is None:
        return None
    return sum(statistics.get(name, 0) for name in ("free", "buffers", "cached"))


def _cpu_usage_percent(host: LibvirtHost) -> Optional[float]:
    """All processors together, 0 to 100, over a short moment."""
    try:
        first = host.cpu_statistics()
        time.sleep(_CPU_SAMPLE_SECONDS)
        second = host.cpu_statistics()
    except Unsupported:
        return None
    spent = {name: second[name] - first[name] for name in first if name != "utilization"}
    total = sum(spent.values())
    idle = spent.get("idle", 0) + spent.get("iowait", 0)
    return 0.0 if total <= 0 else round(100.0 * (total - idle) / total, 1)


def _bridges(host: LibvirtHost) -> List[str]:
    if not host.is_local_hypervisor or not os.path.isdir(_NETWORK_DEVICES):
        return []
    return sorted(
        name
        for name in os.listdir(_NETWORK_DEVICES)
        if os.path.isdir(os.path.join(_NETWORK_DEVICES, name, "bridge"))
    )
