# SPDX-License-Identifier: Apache-2.0
"""What happens behind our back reaches the rows, and what a job found is not overwritten."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta

import libvirt
import pytest

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest, GuestDefinition
from nano_api.live.figures import is_fresh
from nano_api.observer.observer import Observer
from tests.observer.conftest import a_guest, wait_for

DOMAIN = "<domain type='test'><name>{name}</name><uuid>{id}</uuid><memory>65536</memory>\
<vcpu>1</vcpu><os><type>hvm</type></os></domain>"


@pytest.fixture
def guest_id(cloud: Cloud, libvirt_side: libvirt.virConnect) -> Iterator[str]:
    """A stopped guest of ours."""
    new = str(uuid.uuid4())
    libvirt_side.defineXML(DOMAIN.format(name="team.web", id=new))
    with cloud.database.transaction() as session:
        session.add(a_guest(new))
    yield new
    for domain in libvirt_side.listAllDomains():
        if domain.UUIDString() == new:
            if domain.isActive():
                domain.destroy()
            domain.undefine()


def row(cloud: Cloud, guest_id: str) -> Guest:
    with cloud.database.reading() as session:
        return session.get_one(Guest, guest_id)


def definition(cloud: Cloud, guest_id: str) -> GuestDefinition | None:
    with cloud.database.reading() as session:
        return session.get(GuestDefinition, ("c1", guest_id))


@pytest.mark.usefixtures("observer")
def test_a_cell_and_all_its_domains(cloud: Cloud, guest_id: str) -> None:
    def cell() -> Cell:
        with cloud.database.reading() as session:
            return session.get_one(Cell, "c1")

    wait_for(lambda: cell().alive)
    assert cell().cores > 0
    assert cell().memory_bytes > 0
    found = wait_for(lambda: definition(cloud, guest_id))
    assert (found.name, found.running, found.present) == ("team.web", False, True)
    assert "<domain" in found.xml
    with cloud.database.reading() as session:
        wait_for(lambda: is_fresh(cloud.live.of(session, "c1")))


@pytest.mark.usefixtures("observer")
def test_behind_our_back(cloud: Cloud, guest_id: str, libvirt_side: libvirt.virConnect) -> None:
    wait_for(lambda: definition(cloud, guest_id))
    domain = libvirt_side.lookupByUUIDString(guest_id)
    domain.create()
    wait_for(lambda: row(cloud, guest_id).running)
    domain.destroy()
    wait_for(lambda: not row(cloud, guest_id).running)
    changed = DOMAIN.format(name="team.web", id=guest_id).replace("65536", "131072")
    libvirt_side.defineXML(changed)
    wait_for(lambda: "131072" in getattr(definition(cloud, guest_id), "xml", ""))
    domain.undefine()
    wait_for(lambda: not getattr(definition(cloud, guest_id), "present", True))
    assert row(cloud, guest_id).state == "created"
    with cloud.database.transaction() as session:
        session.delete(session.get_one(Guest, guest_id))
    wait_for(lambda: definition(cloud, guest_id) is None)


def test_what_a_job_found_stays(
    cloud: Cloud, guest_id: str, libvirt_side: libvirt.virConnect, observer: Observer
) -> None:
    assert observer
    wait_for(lambda: definition(cloud, guest_id))
    with cloud.database.transaction() as session:
        guest = session.get_one(Guest, guest_id)
        guest.running, guest.observed_at = True, now() + timedelta(seconds=2)
    libvirt_side.lookupByName("test").suspend()
    libvirt_side.lookupByName("test").resume()
    wait_for(
        lambda: getattr(
            definition(cloud, libvirt_side.lookupByName("test").UUIDString()), "running", False
        )
    )
    assert row(cloud, guest_id).running
    wait_for(lambda: not row(cloud, guest_id).running)  # a later look is believed
