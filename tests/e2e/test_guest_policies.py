# SPDX-License-Identifier: Apache-2.0
"""A guest's security policy through the API, from its creation to its end, read on the cell."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import POOL, USER, Service
from tests.lab.cell import Cell

pytestmark = pytest.mark.lab


def filters(cell: Cell) -> str:
    return cell.run(["sh", "-c", "virsh nwfilter-list | grep nano || true"]).stdout


@pytest.mark.usefixtures("clean_cells")
def test_a_policy_lives_with_its_guest(service: Service, image: str) -> None:
    client = service.client
    group = {
        "name": "web",
        "user": USER,
        "group": USER,
        "enabled": True,
        "global": True,
        "default_action": "reject",
    }
    group_id = client.call("POST", "/security_policy_groups/", group).data["id"]
    rule = {"action": "accept", "protocol": "tcp", "to_port": 80}
    client.call("POST", f"/security_policy_groups/{group_id}/rules/", rule)
    order = service.order("walled", from_image=image, security_policy_group=group_id)
    guest_id, _job = client.create_guest(order)
    guest = client.wait_for_guest(guest_id)
    cell = service.cell(guest["cell"])
    path = f"/guests/{guest_id}/security_policy"
    assert client.get(f"{path}/")["default_action"] == "reject"
    assert f"nano-{guest_id}" in cell.run(["virsh", "dumpxml", guest_id]).stdout
    client.call("POST", f"/instances/{guest_id}")
    client.call("POST", f"{path}/rules/", {**rule, "to_port": 8443})
    client.call("PUT", f"{path}/rules/1/order", {"direction": "up"})
    assert [each["to_port"] for each in client.get(f"{path}/")["rules"]] == [8443, 80]
    applied = cell.run(["sh", "-c", "iptables -S | grep -- '--dport 8443'"]).stdout
    assert "ACCEPT" in applied
    client.call("DELETE", f"{path}/rules/0")
    client.call("PUT", f"{path}/default_action", {"action": "accept"})
    xml = cell.run(["virsh", "nwfilter-dumpxml", f"nano-{guest_id}"]).stdout
    assert "8443" not in xml

    target = "cell2" if guest["cell"] == "cell1" else "cell1"
    body = {"source_pool": POOL, "source_cell": guest["cell"], "instances": [guest_id]}
    begun = client.call("POST", "/migrations/", {**body, "target_cell": target})
    assert begun.job
    client.wait_for_job(begun.job)
    assert filters(cell) == ""
    assert guest_id in filters(service.cell(target))
    client.call("DELETE", f"/instances/{guest_id}", {"force": True})
    client.call("DELETE", f"/guests/{guest_id}")
    assert filters(service.cell(target)) == ""
    client.call("DELETE", f"/security_policy_groups/{group_id}")
