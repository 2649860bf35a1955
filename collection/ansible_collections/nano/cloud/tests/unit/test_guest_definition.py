# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that libvirt has forgotten is defined again, and nothing else is touched."""

from __future__ import annotations

from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost

from .test_modules import Run, check_then_real_then_again, run  # noqa: F401

ID = "0a50c4b1-3c1b-4f6b-9d6d-0d3e8f6f1c17"
XML = (
    "<domain type='test'><name>{name}</name><uuid>" + ID + "</uuid><memory>65536</memory>"
    "<vcpu>1</vcpu><os><type>hvm</type></os><devices>{devices}</devices></domain>"
)
DISK = (
    "<disk type='volume'><source pool='default-pool' volume='{volume}'/>"
    "<target dev='sda' bus='scsi'/></disk>"
)


def test_once(run: Run, host: LibvirtHost) -> None:  # noqa: F811
    xml = XML.format(name="team.web", devices="")
    made = check_then_real_then_again(run, "guest_definition", xml=xml)
    assert made["guest"]["name"] == "team.web"
    other = XML.format(name="team.other", devices="")
    assert not run("guest_definition", xml=other)["changed"]
    domain = host.find_domain(ID, None)
    assert domain is not None
    assert domain.name == "team.web"
    domain.undefine()


def test_refusals(run: Run, host: LibvirtHost) -> None:  # noqa: F811
    taken = run("guest_definition", xml=XML.format(name="test", devices=""))
    assert taken["error"]["code"] == "conflict"
    assert "another guest is called test" in taken["msg"]
    gone = XML.format(name="team.web", devices=DISK.format(volume="gone.qcow2"))
    assert "gone.qcow2" in run("guest_definition", xml=gone)["msg"]
    assert run("guest_definition", xml="<domain/>")["error"]["code"] == "invalid_input"
    assert run("guest_definition", xml="no XML")["failed"]
    assert host.find_domain(ID, None) is None
