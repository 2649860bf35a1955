# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running guest takes at once, and what waits for its next start."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import (
    domain_xml,
    guest_defaults,
    guest_live_change,
)
from ansible_collections.nano.cloud.plugins.module_utils.errors import HypervisorError, Unsupported
from ansible_collections.nano.cloud.plugins.module_utils.guest_service import (
    GuestOutcome,
    ensure_present,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import GuestSpec
from ansible_collections.nano.cloud.plugins.module_utils.host_capabilities import HostCapabilities
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost

from .guests import GUEST_ID, MIB, new_request, request


def spec(**options: Any) -> GuestSpec:
    capabilities = HostCapabilities("x86_64", ("qemu",))
    return guest_defaults.new_guest(new_request(**options), GUEST_ID, capabilities)


class RunningDomain:
    """A guest that runs with one definition, and notes what is asked of it."""

    def __init__(self, running: GuestSpec, refuses: bool = False) -> None:
        self._xml = domain_xml.build(running)
        self._refuses = refuses
        self.asked: list[tuple[str, Any]] = []

    def active_xml(self, secure: bool) -> str:
        assert secure in (True, False)
        return self._xml

    def __getattr__(self, name: str) -> Callable[..., None]:
        def ask(*arguments: Any) -> None:
            self.asked.append((name, arguments[0]))
            if self._refuses:
                raise HypervisorError("it will not")

        return ask


def asked(running: GuestSpec, found: GuestSpec, wanted: GuestSpec) -> dict[str, Any]:
    domain: Any = RunningDomain(running)
    definition = domain_xml.build(wanted)
    assert guest_live_change.apply_live(domain, definition, found, wanted) == []
    return {name: value for name, value in domain.asked if name != "set_live_metadata"}


def test_a_card_is_changed_as_it_runs_not_as_it_is_defined() -> None:
    running = spec(network={"model": "virtio"})
    assert running.network is not None
    found = replace(running, network=replace(running.network, model="e1000"))
    wanted = replace(found, security_policy="web")
    card = ElementTree.fromstring(asked(running, found, wanted)["update_live"])
    assert card.find("model[@type='virtio']") is not None
    assert card.find("filterref[@filter='nano-web']") is not None


def test_a_password_reaches_a_display_whose_port_waits() -> None:
    running = spec(display={"port": 5901, "password": "old"})
    assert running.display is not None
    found = replace(running, display=replace(running.display, port=5902))
    assert found.display is not None
    wanted = replace(found, display=replace(found.display, password="new"))
    screen = ElementTree.fromstring(asked(running, found, wanted)["update_live"])
    assert (screen.get("port"), screen.get("passwd")) == ("5901", "new")


def test_bridge_and_link() -> None:
    found = spec()
    assert found.network is not None
    wanted = replace(found, network=replace(found.network, bridge="br7", link="down"))
    card = ElementTree.fromstring(asked(found, found, wanted)["update_live"])
    assert card.find("source[@bridge='br7']") is not None
    assert card.find("link[@state='down']") is not None


def test_agent_and_tablet_are_plugged() -> None:
    found = spec(tablet="usb", agent=False)
    wanted = replace(found, tablet="", agent=True)
    done = asked(found, found, wanted)
    assert "guest_agent" in done["attach_live"]
    assert "tablet" in done["detach_live"]


def test_what_needs_a_restart_is_not_tried() -> None:
    found = spec()
    wanted = replace(found, video="qxl", usb="", disk_bus="sata", tpm=True, cores=4)
    assert asked(found, found, wanted) == {}


def test_a_refusal_is_a_warning_and_stops_nothing() -> None:
    found = spec(agent=False)
    domain: Any = RunningDomain(found, refuses=True)
    wanted = replace(found, agent=True, security_policy="web", cpu_priority="low")
    definition = domain_xml.build(wanted)
    warnings = guest_live_change.apply_live(domain, definition, found, wanted)
    assert [text.split(" waits ")[0] for text in warnings] == [
        "owner, group and template",
        "security_policy",
        "agent",
        "cpu_priority",
    ]


def change(host: LibvirtHost, **options: Any) -> GuestOutcome:
    return ensure_present(host, request(**options), False, 1)


def test_memory_goes_and_comes_back_up_to_what_it_started_with(host: LibvirtHost) -> None:
    ensure_present(host, new_request(), False, 1)
    domain = host.find_domain(GUEST_ID, None)
    assert domain is not None
    domain.start()
    for megabytes, waiting in ((128, []), (256, []), (512, ["memory_bytes"]), (192, [])):
        assert change(host, memory_bytes=megabytes * MIB).restart_required == waiting
        running = domain_xml.parse(domain.active_xml(secure=False))
        assert running.memory_bytes == min(megabytes, 256) * MIB


def test_less_memory_in_the_definition_alone_is_seen_and_given_back(host: LibvirtHost) -> None:
    ensure_present(host, new_request(), False, 1)
    domain = host.find_domain(GUEST_ID, None)
    assert domain is not None
    xml = domain.inactive_xml(secure=True)
    host.define_domain(re.sub("<currentMemory([^>]*)>[0-9]+<", r"<currentMemory\1>65536<", xml))
    assert domain_xml.parse(domain.inactive_xml(secure=True)).memory_bytes == 64 * MIB
    assert change(host, memory_bytes=256 * MIB).differences.fields == ["memory_bytes"]
    assert change(host, memory_bytes=256 * MIB).differences.fields == []


def test_memory_in_numa_cells_is_left_alone(host: LibvirtHost) -> None:
    ensure_present(host, new_request(), False, 1)
    domain = host.find_domain(GUEST_ID, None)
    assert domain is not None
    cells = "<numa><cell id='0' cpus='0-1' memory='262144' unit='KiB'/></numa>"
    xml = domain.inactive_xml(secure=True).replace("</cpu>", f"{cells}</cpu>")
    host.define_domain(xml)
    assert change(host, memory_bytes=256 * MIB).differences.fields == []
    with pytest.raises(Unsupported, match="NUMA cells"):
        change(host, memory_bytes=512 * MIB)
