#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module nano.cloud.guest."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest
short_description: Manage a guest on a libvirt host
version_added: 1.0.0
description:
  - Creates a guest with its disks, changes it in place, or removes it with its disks.
  - A guest is never made anew to change it. A change that would lose data is refused.
  - An option that is left out keeps what the guest has; a new guest gets the default named there.
  - Changes are always written to the persistent definition, and made in the running guest where
    libvirt can do that simply. RV(restart_required) names what waits for the next start.
  - Elements of the definition that this module does not know stay as they are.
  - A creation that fails leaves nothing behind. One that was killed is completed, or removed, by
    the next run for the same guest.
author:
  - The nano-cloud developers (@nano-cloud)
extends_documentation_fragment:
  - nano.cloud.attributes
  - nano.cloud.attributes.writer
  - nano.cloud.attributes.actiongroup
  - nano.cloud.connection
  - nano.cloud.connection.lock
options:
  state:
    description: Whether the guest exists.
    type: str
    choices: [present, absent]
    default: present
  name: &name
    description:
      - Name of the guest, 1 to 128 letters, digits, C(_), C(.) and C(-). Required to create one.
      - With O(id) of a guest that has another name and does not run, the guest is renamed.
    type: str
  id: &id
    description:
      - UUID of the guest. Names the guest when given, else O(name) does.
      - A new guest gets a random one by default.
    type: str
  owner: &owner
    description: Who the guest belongs to. Plain text in the guest's metadata.
    type: str
  group: &group
    description: Which group the guest belongs to. Plain text in the guest's metadata.
    type: str
  template: &template
    description: Which template the guest was made from. Plain text in the guest's metadata.
    type: str
  cores: &cores
    description: Number of virtual processors, 1 or even. Required to create a guest.
    type: int
  memory_bytes: &memory_bytes
    description:
      - Memory, at least 16 MiB, rounded up to MiB. Required to create a guest.
      - Of a running guest whose system has a balloon driver memory is taken at once, and given
        back up to what it was started with.
    type: int
  pool: &pool
    description: Storage pool of the disks. By default V(default). Disks are not moved.
    type: str
  disks: &disks
    description:
      - The hard disks, the system disk first. A new guest has none by default.
      - A larger O(disks[].size_bytes) grows a disk, further entries add disks.
      - Smaller sizes, fewer entries or another image are refused.
    type: list
    elements: dict
    suboptions:
      size_bytes:
        description: Size that the guest sees, rounded up to 512.
        type: int
        required: true
      image:
        description: Id of an image in O(image_pool) to make the disk from. First disk only.
        type: str
      full_copy:
        description:
          - Make an independent copy of the image instead of a layer on top of it.
          - Matters only while the disk is being made.
        type: bool
        default: false
  image_pool:
    description: Storage pool of the images, see M(nano.cloud.image).
    type: str
    default: nano-images
  network: &network
    description: The network card.
    type: dict
    suboptions:
      bridge:
        description: Bridge of the host that it is on. By default V(br0).
        type: str
      mac:
        description: MAC address. By default one that follows from the guest's id.
        type: str
      model:
        description: Model of the card. By default V(virtio).
        type: str
        choices: [virtio, e1000, rtl8139]
      link:
        description:
          - Whether the card's cable is plugged in. By default V(up). Changed while the guest runs.
        type: str
        choices: [up, down]
  security_policy: &security_policy
    description:
      - Name of the policy that filters the network card's traffic; empty for none, the default.
      - It must exist on the host, as libvirt's network filter C(nano-NAME).
      - Changed while the guest runs.
    type: str
  firmware: &firmware
    description:
      - By default V(bios), and V(uefi) on aarch64, which has no BIOS.
      - A guest with V(uefi) has a machine of type q35. Its variables are a file on the host that
        follows from its id and goes with the guest.
      - It is changed only while the guest is stopped, because its devices move to other addresses.
        Disks and variables stay, but a system that was installed with one firmware seldom starts
        with the other. A guest that has changed to V(bios) keeps its machine.
    type: str
    choices: [bios, uefi]
  secure_boot: &secure_boot
    description:
      - Whether UEFI starts only what is signed, by the keys that the host's firmware begins with.
        By default V(false). Refused where the host has no such firmware.
      - It is changed only while the guest is stopped. The variables with and without secure boot
        are two files, so that each way finds its own again.
    type: bool
  tpm: &tpm
    description:
      - Whether the guest has a TPM 2.0, emulated by C(swtpm). By default V(false).
      - Its state goes with the guest. Without the TPM the state stays until the guest is removed.
    type: bool
  disk_bus: &disk_bus
    description: Bus of the disks. By default V(scsi).
    type: str
    choices: [scsi, sata, ide, virtio]
  video: &video
    description: Video card. By default V(vga).
    type: str
    choices: [vga, cirrus, qxl, virtio, none]
  display: &display
    description: How the guest's screen is reached.
    type: dict
    suboptions:
      protocol:
        description: By default V(vnc).
        type: str
        choices: [vnc, spice]
      listen:
        description: Address to listen on. By default V(127.0.0.1).
        type: str
      port:
        description: Port to listen on. By default, and with V(0), each start chooses one.
        type: int
      password:
        description:
          - Password of the display; an empty one removes it. VNC takes at most 8 characters.
        type: str
  usb: &usb
    description: USB controller; empty leaves it to libvirt. By default V(nec-xhci).
    type: str
    choices: ['', nec-xhci]
  tablet: &tablet
    description: Bus of the tablet that makes the pointer follow; empty for none. By default V(usb).
    type: str
    choices: ['', usb, virtio]
  agent: &agent
    description: Whether there is a channel to the guest agent. By default V(true).
    type: bool
  serial_log: &serial_log
    description:
      - Whether the serial console is logged to C(/var/log/libvirt/qemu/ID.serial.log) on the host.
        By default V(false).
    type: bool
  cpu_priority: &cpu_priority
    description:
      - Share of the host's processors. V(high) weighs 2000 and is not limited, V(medium) weighs
        1000 and V(low) 500, with at most a half and a quarter of each virtual processor.
      - By default V(high). Changed while the guest runs.
    type: str
    choices: [high, medium, low]
  disk_limits: &disk_limits
    description:
      - What each of the guest's disks may do; V(0) is unlimited, which is the default.
      - Changed while the guest runs.
    type: dict
    suboptions:
      read_bytes_sec:
        description: Bytes that may be read in a second.
        type: int
      write_bytes_sec:
        description: Bytes that may be written in a second.
        type: int
      read_iops_sec:
        description: Reads in a second.
        type: int
      write_iops_sec:
        description: Writes in a second.
        type: int
  network_limits: &network_limits
    description:
      - What the network card may do; V(0) is unlimited, which is the default. Rounded up to KiB.
      - Up to twice as much is let through until one second's worth has been used up.
      - Changed while the guest runs. The host's kernel needs C(sch_htb), C(sch_sfq) and
        C(act_police); without them a guest with limits does not start.
    type: dict
    suboptions:
      receive_bytes_sec:
        description: Bytes that the guest may receive in a second.
        type: int
      send_bytes_sec:
        description: Bytes that the guest may send in a second.
        type: int
  auto_start: &auto_start
    description: Whether the guest starts with the host. By default V(false).
    type: bool
  domain_type: &domain_type
    description:
      - V(kvm) uses the processor's virtualisation, V(qemu) emulates.
      - V(auto), the default for a new guest, uses KVM where it really works.
    type: str
    choices: [auto, kvm, qemu]
  guests:
    description:
      - Many guests instead of one. Each has the options of one guest; what it leaves out is taken
        from the options beside this list.
      - The failure of one does not stop the others. When some have failed, the module fails at the
        end, names them, and returns RV(results) of all.
    type: list
    elements: dict
    suboptions:
      name: *name
      id: *id
      owner: *owner
      group: *group
      template: *template
      cores: *cores
      memory_bytes: *memory_bytes
      pool: *pool
      disks: *disks
      network: *network
      security_policy: *security_policy
      firmware: *firmware
      secure_boot: *secure_boot
      tpm: *tpm
      disk_bus: *disk_bus
      video: *video
      display: *display
      usb: *usb
      tablet: *tablet
      agent: *agent
      serial_log: *serial_log
      cpu_priority: *cpu_priority
      disk_limits: *disk_limits
      network_limits: *network_limits
      auto_start: *auto_start
      domain_type: *domain_type
      image_pool:
        description: Storage pool of the images.
        type: str
  force:
    description: With O(state=absent), end a running guest first, as pulling the plug does.
    type: bool
    default: false
seealso:
  - module: nano.cloud.guest_info
  - module: nano.cloud.guest_power
  - module: nano.cloud.image
"""

EXAMPLES = r"""
- name: A guest whose system disk is made from an image
  nano.cloud.guest:
    name: admin.web1
    owner: admin
    group: admin
    cores: 2
    memory_bytes: "{{ 2 * 1024 ** 3 }}"
    disks:
      - size_bytes: "{{ 20 * 1024 ** 3 }}"
        image: debian-12
      - size_bytes: "{{ 50 * 1024 ** 3 }}"
    network:
      bridge: br0
    auto_start: true

- name: Give it more memory and a larger system disk
  nano.cloud.guest:
    name: admin.web1
    memory_bytes: 4294967296
    disks:
      - size_bytes: 42949672960
      - size_bytes: 53687091200

- name: Keep it from disturbing others
  nano.cloud.guest:
    name: admin.web1
    cpu_priority: low
    disk_limits:
      read_iops_sec: 500
      write_iops_sec: 500
    network_limits:
      receive_bytes_sec: 12500000
      send_bytes_sec: 12500000

- name: Ten guests at once
  nano.cloud.guest:
    cores: 1
    memory_bytes: 1073741824
    guests:
      - name: admin.node1
        disks: [{size_bytes: 10737418240, image: debian-12}]
      - name: admin.node2
        disks: [{size_bytes: 10737418240, image: debian-12}]

- name: A guest for a system that wants UEFI with secure boot and a TPM
  nano.cloud.guest:
    name: admin.desktop1
    cores: 4
    memory_bytes: 8589934592
    disks:
      - size_bytes: 68719476736
    disk_bus: sata
    firmware: uefi
    secure_boot: true
    tpm: true
    security_policy: desktops

- name: Remove it, even if it runs
  nano.cloud.guest:
    name: admin.web1
    state: absent
    force: true
"""

RETURN = r"""
guest:
  description:
    - The guest, as M(nano.cloud.guest_info) returns it; null when there is none.
    - In check mode the guest as it is, or, where it would be created, as it would be.
  returned: success
  type: dict
created:
  description: Whether the guest was created, or completed.
  returned: success
  type: bool
restart_required:
  description: Options whose new value waits for the guest's next start.
  returned: success
  type: list
  elements: str
  sample: [cores, memory_bytes]
results:
  description:
    - What came of each of O(guests), in their order, with C(index), C(id), C(name), C(changed),
      C(failed), C(error) (C(code), C(message)), and the return values for one guest.
  returned: when O(guests) was given
  type: list
  elements: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.nano.cloud.plugins.module_utils.guest_batch import OneDone, run_batch
from ansible_collections.nano.cloud.plugins.module_utils.guest_service import (
    ensure_absent,
    ensure_present,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import (
    GUEST_MODULE_ARGUMENTS,
    guest_entries,
    guest_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost
from ansible_collections.nano.cloud.plugins.module_utils.module_runner import Result, run_module


def ensure(params: Mapping[str, Any], host: LibvirtHost, check_mode: bool) -> Result:
    """Make the guest, or each of many, what the options say."""

    def one(options: Mapping[str, Any]) -> OneDone:
        request, wait = guest_request(options), params["lock_timeout_seconds"]
        if params["state"] == "present":
            outcome = ensure_present(host, request, check_mode, wait)
        else:
            outcome = ensure_absent(host, request, params["force"], check_mode, wait)
        values = {
            "guest": outcome.guest,
            "created": outcome.created,
            "restart_required": outcome.restart_required,
        }
        return OneDone(outcome.differences, values, outcome.differences.changed, outcome.warnings)

    if params["guests"] is None:
        done = one(params)
        return Result(done.differences, done.values, done.warnings)
    # One after the other: making a guest is quick, and each sees the space that the last one took.
    outcome = run_batch(guest_entries(params), one, at_once=1)
    return Result(outcome.differences, {"results": outcome.results}, outcome.warnings)


def main() -> None:
    """Entry point of the module."""
    run_module(
        GUEST_MODULE_ARGUMENTS,
        ensure,
        required_one_of=[["id", "name", "guests"]],
        mutually_exclusive=[["id", "guests"], ["name", "guests"]],
    )


if __name__ == "__main__":
    main()
