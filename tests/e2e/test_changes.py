# SPDX-License-Identifier: Apache-2.0
"""Changes of a guest through REST, each checked on the cell with virsh."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.conftest import MIB, USER, Service, domain_xml
from tests.lab.cell import Cell
from tests.nano_client import ApiError

pytestmark = pytest.mark.lab


def disk_bytes(cell: Cell, guest_id: str, suffix: str) -> int:
    path = f"/var/lib/libvirt/images/{guest_id}_{suffix}.qcow2"
    # A running guest holds the image's lock; -U reads beside it.
    done = cell.run(["qemu-img", "info", "-U", "--output=json", path])
    return int(json.loads(done.stdout)["virtual-size"])


@pytest.mark.usefixtures("clean_cells")
def test_a_guest_is_changed_in_place(service: Service) -> None:
    client = service.client
    guest_id, _job = client.create_guest(service.order("change", disks=[64 * MIB, 32 * MIB]))
    guest = client.wait_for_guest(guest_id)
    cell = service.cell(guest["cell"])
    path = f"/guests/{guest_id}"

    client.call("PUT", f"{path}/cores", {"cores": 4})
    client.call("PUT", f"{path}/memory", {"memory": 96 * MIB})
    xml = domain_xml(cell, guest["name"])
    assert re.search(r"<vcpu[^>]*>4</vcpu>", xml)
    assert re.search(r"<topology sockets='1' [^>]*cores='2' threads='2'/>", xml)
    assert f"<memory unit='KiB'>{96 * 1024}</memory>" in xml
    assert client.get(path)["cores"] == 4
    assert client.get(path)["memory"] == 96 * MIB

    client.call("PUT", f"{path}/auto_start", {"enable": True})
    assert "Autostart:      enable" in cell.run(["virsh", "dominfo", guest["name"]]).stdout
    with pytest.raises(ApiError, match="already enabled"):
        client.call("PUT", f"{path}/auto_start", {"enable": True})

    client.call("PUT", f"{path}/disks/resize/1", {"size": 48 * MIB})
    assert disk_bytes(cell, guest_id, "0") == 48 * MIB
    assert client.get(path)["disks"] == [64 * MIB, 48 * MIB]
    with pytest.raises(ApiError, match="size must be larger than the disk's"):
        client.call("PUT", f"{path}/disks/resize/1", {"size": 40 * MIB})

    before = client.get(path)["monitor_secret"]
    client.call("PUT", f"{path}/monitor/secret")
    after = client.get(path)["monitor_secret"]
    assert after != before
    secret_xml = cell.run(["virsh", "dumpxml", "--inactive", "--security-info", guest["name"]])
    assert f"passwd='{after}'" in secret_xml.stdout

    client.call("PUT", f"{path}/name/", {"name": f"{USER}.renamed"})
    assert client.get(path)["name"] == f"{USER}.renamed"
    assert cell.run(["virsh", "domuuid", f"{USER}.renamed"]).stdout.strip() == guest_id
    assert client.get(path)["ethernet_address"] in domain_xml(cell, f"{USER}.renamed")

    client.call("POST", f"/instances/{guest_id}")
    with pytest.raises(ApiError, match="is still running"):
        client.call("PUT", f"{path}/name/", {"name": f"{USER}.x"})
    client.call("PUT", f"{path}/disks/resize/0", {"size": 128 * MIB})
    assert disk_bytes(cell, guest_id, "sys") == 128 * MIB
    assert client.get(path)["disks"] == [128 * MIB, 48 * MIB]
    client.call("PUT", f"{path}/cores", {"cores": 2})
    # The running guest keeps what it started with.
    running = cell.run(["virsh", "dumpxml", f"{USER}.renamed"]).stdout
    assert re.search(r"<vcpu[^>]*>4</vcpu>", running), (
        "the running guest keeps what it started with"
    )
    assert client.get(path)["cores"] == 2
    client.call("DELETE", path, {"force": True})
