# SPDX-License-Identifier: Apache-2.0
"""The same guest without the REST API: ansible-playbook and the collection."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.e2e.conftest import MIB, ansible, changes, domain_xml
from tests.lab.first_light import wait_for_boot
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab

GUEST_ID = "5b0ba0b5-6bd7-4b2f-9c0c-6f1f5d4b0c11"
PLAYBOOK = """
- name: A guest without the REST API
  hosts: cell1
  gather_facts: false
  vars:
    memory_bytes: 134217728
  tasks:
    - name: Copy the image to the cell
      ansible.builtin.copy:
        src: "{{ image_file }}"
        dest: /root/tiny.qcow2
        mode: "0644"
    - name: Put it into the cache
      nano.cloud.image:
        id: tiny-by-hand
        url: file:///root/tiny.qcow2
        checksum: "{{ image_checksum }}"
        format: qcow2
    - name: Make the guest
      nano.cloud.guest:
        id: 5b0ba0b5-6bd7-4b2f-9c0c-6f1f5d4b0c11
        name: hand.web1
        cores: 2
        memory_bytes: "{{ memory_bytes }}"
        disks:
          - size_bytes: 268435456
            image: tiny-by-hand
        network:
          mac: 00:16:3e:00:0a:0b
        serial_log: true
    - name: Start it
      nano.cloud.guest_power:
        name: hand.web1
        state: running
"""


@pytest.mark.usefixtures("clean_cells")
def test_twice_and_in_check_mode(onboarded: Lab, tmp_path: Path) -> None:
    playbook = tmp_path / "guest.yml"
    playbook.write_text(PLAYBOOK)
    image = onboarded.image_qcow2
    checksum = hashlib.sha256(image.read_bytes()).hexdigest()
    values = ("-e", f"image_file={image}", "-e", f"image_checksum=sha256:{checksum}")
    inventory = onboarded.inventory_path
    cell = onboarded.cell("cell1")
    try:
        first = ansible(playbook, inventory, *values)
        assert changes(first) == {"cell1": 4}
        address = wait_for_boot(cell, GUEST_ID)
        assert onboarded.leases()["00:16:3e:00:0a:0b"] == address
        again = ansible(playbook, inventory, *values)
        assert changes(again) == {"cell1": 0}

        before = domain_xml(cell, "hand.web1")
        more = ("-e", f"memory_bytes={192 * MIB}", "--check", "--diff")
        checked = ansible(playbook, inventory, *values, *more)
        assert changes(checked) == {"cell1": 1}
        assert "134217728" in checked.stdout
        assert "201326592" in checked.stdout
        assert domain_xml(cell, "hand.web1") == before
    finally:
        for module, options in (
            ("guest", f"id={GUEST_ID} state=absent force=true"),
            ("image", "id=tiny-by-hand state=absent"),
        ):
            tear_down = tmp_path / f"{module}.yml"
            tear_down.write_text(
                "- hosts: cell1\n  gather_facts: false\n  tasks:\n"
                f"    - nano.cloud.{module}: {options}\n"
            )
            ansible(tear_down, inventory)
        cell.run(["rm", "-f", "/root/tiny.qcow2"])
