# SPDX-License-Identifier: Apache-2.0
"""What the observer costs, on its own host and on a cell. ``make bench-observer`` runs it.

Its own host: many "cells" are connections to the libvirtd of a lab's cell, each with libvirt's test
driver and 30 running domains behind it: real sockets, events, definitions, rows. The test driver
tells few figures, so the time to parse QEMU's real ones is measured beside it and added.

On a cell: libvirtd's processor time with a number of real guests (QEMU, paused, so that their own
work does not drown it), with the observer and without.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import structlog

from nano_api.cells.tables import Cell as CellRow
from nano_api.cloud import Cloud
from nano_api.main import create_cloud
from nano_api.observer.observer import Observer
from nano_api.settings import Settings
from tests.lab.cell import Cell
from tests.lab.control_groups import groups_named, processes_in
from tests.lab.lab import Lab

from ansible_collections.nano.cloud.plugins.module_utils import statistics  # isort: skip

_GOAL_CELLS, _GUESTS_PER_CELL = 300, 30
_LOOKS_PER_SECOND = 0.5
_SETTLE_SECONDS, _MEASURE_SECONDS = 30, 60
_TEST_XML = "/tmp/bench-observer.xml"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _test_driver_config() -> str:
    domain = (
        "<domain type='test'><name>team.guest{n}</name><memory>65536</memory><vcpu>2</vcpu>"
        "<os><type>hvm</type></os><devices><disk type='file' device='disk'>"
        "<source file='/disks/{n}.qcow2'/><target dev='sda' bus='scsi'/></disk>"
        "<interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>"
        "<graphics type='vnc' port='-1'/></devices></domain>"
    )
    domains = "".join(domain.format(n=n) for n in range(_GUESTS_PER_CELL))
    return f"<node>{domains}<cpu><mhz>2000</mhz><nodes>1</nodes><sockets>1</sockets></cpu></node>"


def _pid_of_libvirtd(cell: Cell) -> int:
    cell.run(["virsh", "version"])  # it sleeps while nobody needs it
    for pid in processes_in(groups_named(cell.machine_name)):
        with suppress(OSError):  # it has ended meanwhile
            if Path(f"/proc/{pid}/comm").read_text().strip() == "libvirtd":
                return pid
    raise SystemExit(f"no libvirtd runs in {cell.name}: onboard the lab's cells first")


def _cloud(folder: Path, uris: list[str]) -> Cloud:
    cloud = create_cloud(Settings(data=folder / "data"))
    cloud.settings.runtime_folder.mkdir(exist_ok=True)
    with cloud.database.transaction() as session:
        for number, uri in enumerate(uris):
            session.add(
                CellRow(
                    name=f"bench{number}",
                    address="192.0.2.1",
                    pool="default",
                    connection={"nano_libvirt_uri": uri},
                )
            )
    return cloud


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _share(cells: int, cell: Cell, seconds: int) -> float:
    """Cores that the observer of so many test cells takes."""
    cell.run(["sh", "-c", f"cat > {_TEST_XML}"], input_text=_test_driver_config())
    socket = f"/proc/{_pid_of_libvirtd(cell)}/root/run/libvirt/libvirt-sock"
    uri = f"test+unix://{_TEST_XML}?socket={socket}"
    with tempfile.TemporaryDirectory() as folder:
        cloud = _cloud(Path(folder), [uri] * cells)
        observer = Observer(cloud)
        observer.start()
        deadline = time.monotonic() + 300
        while len(cloud.live.in_memory()) < cells:
            if time.monotonic() > deadline:
                raise SystemExit(f"only {len(cloud.live.in_memory())} of {cells} cells answer")
            time.sleep(0.5)
        time.sleep(_SETTLE_SECONDS)
        cpu, begun = _cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        share = (_cpu_seconds() - cpu) / (time.monotonic() - begun)
        ages = [each.at.timestamp() for each in cloud.live.in_memory().values()]
        _say(
            f"{cells} cells x {_GUESTS_PER_CELL} guests: {share:.3f} cores, "
            f"{threading.active_count()} threads, {len(os.listdir('/proc/self/fd'))} descriptors, "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB at most, "
            f"oldest figures {time.time() - min(ages):.1f} s"
        )
        observer.stop()
        cloud.database.close()
    return share


def _parsing_share() -> float:
    """Cores for parsing QEMU's figures of all guests of the goal."""
    raw: dict[str, object] = {"state.state": 1, "cpu.time": 9, "vcpu.current": 2, "vcpu.maximum": 2}
    raw |= {f"vcpu.{n}.{key}": 5 for n in (0, 1) for key in ("state", "time", "wait", "delay")}
    raw |= {f"balloon.{key}": 5 for key in ("current", "maximum", "usable", "unused", "rss")}
    raw |= {"net.count": 1, "net.0.name": "vnet0", "block.count": 2}
    raw |= {f"net.0.{way}.{key}": 5 for way in ("rx", "tx") for key in ("bytes", "pkts", "errs")}
    for number in (0, 1):
        raw[f"block.{number}.name"] = f"sd{number}"
        for key in ("rd.bytes", "wr.bytes", "rd.reqs", "wr.reqs", "capacity", "allocation"):
            raw[f"block.{number}.{key}"] = 5
    count = 20_000
    begun = _cpu_seconds()
    for _ in range(count):
        statistics.parse(raw)
    each = (_cpu_seconds() - begun) / count
    share = each * _GOAL_CELLS * _GUESTS_PER_CELL * _LOOKS_PER_SECOND
    _say(f"parsing a guest's real figures: {each * 1e6:.0f} us; for the goal {share:.3f} cores")
    return share


def _daemon_cpu_seconds(pid: int) -> float:
    """Of libvirtd and of all QEMU processes of its cell, as the kernel counts it."""
    root = os.stat(f"/proc/{pid}/ns/pid").st_ino
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "comm").read_text().strip()
            if name != "libvirtd" and not name.startswith("qemu"):
                continue
            if os.stat(folder / "ns/pid").st_ino == root:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:
            continue  # it has ended meanwhile
    return ticks / os.sysconf("SC_CLK_TCK")


def _cell_cost(cell: Cell, guests: int, seconds: int) -> None:
    """libvirtd's and QEMU's processor time with paused guests, without and with the observer."""
    domain = (
        "<domain type='qemu'><name>bench{n}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>"
        "<os><type arch='x86_64'>hvm</type></os><devices><disk type='file' device='disk'>"
        "<source file='/tmp/bench{n}.img'/><target dev='vda' bus='virtio'/></disk>"
        "<interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>"
        "<memballoon model='virtio'><stats period='2'/></memballoon></devices></domain>"
    )
    for n in range(guests):
        text = domain.format(n=n)
        script = (
            f"truncate -s 1M /tmp/bench{n}.img; cat > /tmp/b.xml; virsh create --paused /tmp/b.xml"
        )
        cell.run(["sh", "-c", script], input_text=text)
    try:
        pid = _pid_of_libvirtd(cell)
        time.sleep(10)
        before = _daemon_cpu_seconds(pid)
        time.sleep(seconds)
        idle = (_daemon_cpu_seconds(pid) - before) / seconds
        socket = f"/proc/{pid}/root/run/libvirt/libvirt-sock-ro"
        with tempfile.TemporaryDirectory() as folder:
            cloud = _cloud(Path(folder), [f"qemu+unix:///system?socket={socket}"])
            observer = Observer(cloud)
            observer.start()
            time.sleep(10)
            before = _daemon_cpu_seconds(pid)
            time.sleep(seconds)
            observed = (_daemon_cpu_seconds(pid) - before) / seconds
            seen = sum(len(each.guests) for each in cloud.live.in_memory().values())
            observer.stop()
            cloud.database.close()
        cores = os.cpu_count() or 1
        extra = observed - idle
        _say(
            f"a cell with {seen} guests: libvirtd and QEMU take {idle:.3f} cores unobserved, "
            f"{observed:.3f} observed: {100 * extra / cores:.2f} % of its {cores} cores"
        )
    finally:
        for n in range(guests):
            command = f"virsh destroy bench{n} > /dev/null; rm -f /tmp/bench{n}.img"
            cell.run(["sh", "-c", command])


def main() -> None:
    """Both, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--instance", default="main", help="the lab; its cells must be onboarded")
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--guests", type=int, default=50, help="on the one real cell; 0: skip it")
    parser.add_argument("--seconds", type=int, default=_MEASURE_SECONDS)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    cell = Lab(options.instance).cell("cell1")
    half = _share(max(1, options.cells // 2), cell, options.seconds)
    full = _share(options.cells, cell, options.seconds)
    slope = (full - half) / (options.cells - max(1, options.cells // 2))
    _say(f"per cell {slope:.5f} cores; extrapolated in a straight line to {_GOAL_CELLS} cells:")
    goal = full + slope * (_GOAL_CELLS - options.cells) + _parsing_share()
    _say(f"{_GOAL_CELLS} cells x {_GUESTS_PER_CELL} guests, parsing added: {goal:.2f} cores")
    if options.guests:
        _cell_cost(cell, options.guests, options.seconds)


if __name__ == "__main__":
    main()
