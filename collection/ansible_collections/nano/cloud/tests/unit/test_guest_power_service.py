# SPDX-License-Identifier: GPL-3.0-or-later
"""Power of guests on libvirt's own test driver."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import domain_xml, guest_defaults
from ansible_collections.nano.cloud.plugins.module_utils.errors import (
    Conflict,
    InvalidInput,
    NotFound,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_power_service import (
    PowerOutcome,
    ensure_power,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_power_spec import (
    PowerRequest,
    power_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_service import ensure_present
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_domain import Domain
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost

from .guests import GUEST_ID, new_request


@pytest.fixture
def domain(host: LibvirtHost) -> Domain:
    ensure_present(host, new_request(), False, 1)
    found = host.find_domain(GUEST_ID, None)
    assert found is not None
    return found


def power(host: LibvirtHost, state: str, check_mode: bool = False, **more: Any) -> PowerOutcome:
    return ensure_power(host, PowerRequest(GUEST_ID, None, state, **more), check_mode, 1)


def test_start_and_stop_are_idempotent(host: LibvirtHost, domain: Domain) -> None:
    for state in ("running", "stopped"):
        foretold = power(host, state, check_mode=True)
        assert foretold.differences.changed
        assert domain.state() != state
        done = power(host, state)
        assert done.differences == foretold.differences
        assert done.guest["state"] == domain.state() == state
        assert not power(host, state).differences.changed


def test_paused_guests_go_on(host: LibvirtHost, domain: Domain) -> None:
    domain.start()
    domain._handle.suspend()
    assert power(host, "running").differences.as_diff()["before"] == {"state": "paused"}
    assert domain.state() == "running"


def test_reboot_and_reset_act_each_time(host: LibvirtHost, domain: Domain) -> None:
    for state in ("rebooted", "reset"):
        with pytest.raises(Conflict, match="not running"):
            power(host, state)
    domain.start()
    assert power(host, "rebooted", check_mode=True).acted
    assert power(host, "rebooted").guest["state"] == "running"


def test_a_guest_that_ignores_the_button(
    host: LibvirtHost, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    presses = []
    monkeypatch.setattr(Domain, "shut_down", lambda self: presses.append(self.name))
    domain.start()
    with pytest.raises(Conflict, match="did not stop within 0 s"):
        power(host, "stopped", timeout_seconds=0)
    with pytest.raises(Conflict, match="did not stop within 1 s"):
        power(host, "stopped", timeout_seconds=1)
    assert presses
    assert domain.state() == "running"
    power(host, "stopped", timeout_seconds=0, force_after_timeout=True)
    assert domain.state() == "stopped"


def test_force(host: LibvirtHost, domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Domain, "shut_down", lambda _self: pytest.fail("asked instead of forced"))
    domain.start()
    assert power(host, "stopped", force=True).guest["state"] == "stopped"


def test_incomplete_guests_are_not_started(host: LibvirtHost) -> None:
    spec = guest_defaults.new_guest(new_request(), GUEST_ID, host.capabilities())
    host.define_domain(domain_xml.build(spec))
    with pytest.raises(Conflict, match="incomplete"):
        power(host, "running")


def test_no_such_guest(host: LibvirtHost) -> None:
    with pytest.raises(NotFound, match=GUEST_ID):
        power(host, "running")


def test_options() -> None:
    basis = {"state": "running", "force": False, "force_after_timeout": False}
    with pytest.raises(InvalidInput, match="name or id"):
        power_request({**basis, "timeout_seconds": 1})
    with pytest.raises(InvalidInput, match="timeout_seconds"):
        power_request({**basis, "name": "a", "timeout_seconds": -1})
