# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests for the tests: options, specs, foreign definitions."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import strategies as st

from ansible_collections.nano.cloud.plugins.module_utils import constants, guest_defaults
from ansible_collections.nano.cloud.plugins.module_utils.guest_limits_spec import (
    CPU_PRIORITIES,
    DiskLimits,
    NetworkLimits,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import (
    GuestDisk,
    GuestDisplay,
    GuestNetwork,
    GuestRequest,
    GuestSpec,
    guest_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.names import volume_name
from ansible_collections.nano.cloud.plugins.module_utils.snapshot_tree import (
    GuestVolume,
    Snapshot,
    SnapshotTree,
)

GUEST_ID = "6a2e3f10-8b1c-4b7e-9a55-0d9d7c1f2e3a"
MIB, GIB = constants.MIB, constants.GIB


MACHINES = {
    "x86_64": ["pc", "pc-i440fx-7.2", "q35", "pc-q35-7.2"],
    "aarch64": ["virt", "virt-7.2"],
}


def request(**options: Any) -> GuestRequest:
    """The request of a module call; name and id are given unless told otherwise."""
    return guest_request({"name": "admin.web1", "id": GUEST_ID, **options})


def new_request(**options: Any) -> GuestRequest:
    """A request that is enough to create a guest with one disk."""
    basis = {"cores": 2, "memory_bytes": 256 * MIB, "disks": [{"size_bytes": GIB}]}
    return request(**{**basis, **options})


def text() -> st.SearchStrategy[str]:
    """What the rules let through as owner, group or template: any script, markup, spaces."""
    return st.text(
        st.characters(
            exclude_categories=("Cc", "Cs"), exclude_characters="\u2028\u2029\ufffe\uffff"
        ),
        max_size=40,
    )


def disk_limits() -> st.SearchStrategy[DiskLimits]:
    """Some rates, often none."""
    rate = st.one_of(st.just(0), st.integers(1, 2**40))
    return st.builds(DiskLimits, rate, rate, rate, rate)


def snapshot_trees() -> st.SearchStrategy[SnapshotTree]:
    """Some trees; what they say need not hang together."""
    volumes = st.tuples(st.builds(GuestVolume, st.just("default"), text()))
    snapshot = st.builds(
        Snapshot,
        name=text(),
        parent=text(),
        description=text(),
        created=st.integers(0, 2**33),
        volumes=volumes,
        memory=st.one_of(st.none(), st.builds(GuestVolume, text(), text())),
        unfinished=st.sampled_from(["", "creating", "deleting", "holding"]),
        filling=st.one_of(st.none(), st.builds(GuestVolume, text(), text())),
    )
    return st.builds(
        SnapshotTree,
        st.lists(snapshot, max_size=2).map(tuple),
        text(),
        st.one_of(st.just(()), volumes),
    )


@st.composite
def specs(draw: st.DrawFn) -> GuestSpec:
    """Complete specs, as policy can make them."""
    bus = draw(st.sampled_from(constants.DISK_BUSES))
    count = draw(st.integers(0, constants.MAX_IDE_DISKS if bus == "ide" else 6))
    pool = draw(st.sampled_from(["default", "fast-1"]))
    image = draw(st.sampled_from(["", "debian-12"]))
    disks = tuple(
        GuestDisk(pool, volume_name(GUEST_ID, index), "", "" if index else image)
        for index in range(count)
    )
    cores = draw(st.sampled_from([1, 2, 4, 6, 64, 128, 130, 254]))
    firmware = draw(st.sampled_from(constants.FIRMWARES))
    arch = draw(st.sampled_from(sorted(MACHINES)))
    name = draw(st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=40))
    return GuestSpec(
        id=GUEST_ID,
        name=name,
        cores=cores,
        memory_bytes=draw(st.integers(16, 2**20)) * MIB,
        domain_type=draw(st.sampled_from(["kvm", "qemu"])),
        arch=arch,
        machine=draw(st.sampled_from(MACHINES[arch])),
        owner=draw(text()),
        group=draw(text()),
        template=draw(text()),
        incomplete=draw(st.booleans()),
        topology=guest_defaults.cpu_topology(cores),
        disks=disks,
        disk_bus=bus,
        network=GuestNetwork(
            draw(st.sampled_from(["br0", "lan.7"])),
            draw(st.sampled_from(["00:16:3e:00:00:01", "52:54:00:ab:cd:ef"])),
            draw(st.sampled_from(constants.NETWORK_MODELS)),
            draw(st.sampled_from(constants.LINK_STATES)),
        ),
        security_policy=draw(st.sampled_from(["", "web", "data.base-1"])),
        cloud_init_pool=draw(st.sampled_from(["", "default", "fast-1"])),
        firmware=firmware,
        secure_boot=draw(st.booleans()) if firmware == "uefi" else False,
        tpm=draw(st.booleans()),
        video=draw(st.sampled_from(constants.VIDEO_MODELS)),
        display=GuestDisplay(
            draw(st.sampled_from(constants.DISPLAY_PROTOCOLS)),
            draw(st.sampled_from(["127.0.0.1", "::1", "0.0.0.0"])),
            draw(st.sampled_from([None, 5901])),
            draw(st.sampled_from([None, "secret", "<\"'&>"])),
        ),
        usb=draw(st.sampled_from(constants.USB_CONTROLLERS)),
        tablet=draw(st.sampled_from(constants.TABLET_BUSES)),
        agent=draw(st.booleans()),
        serial_log=draw(st.booleans()),
        cpu_priority=draw(st.sampled_from(["", *CPU_PRIORITIES])),
        disk_limits=draw(disk_limits()) if disks else DiskLimits(),
        network_limits=NetworkLimits(
            *(draw(st.integers(0, 2**20)) * constants.KIB for _direction in range(2))
        ),
        snapshots=draw(snapshot_trees()),
    )


# A domain as a person makes it with other tools: much in it that we do not know.
FOREIGN = """
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>elsewhere</name>
  <uuid>0b9c3f5e-2a35-4d6c-8a6d-2f4f1f6a7b8c</uuid>
  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
      <libosinfo:os id="http://debian.org/debian/12"/>
    </libosinfo:libosinfo>
  </metadata>
  <memory unit='GiB'>4</memory>
  <currentMemory unit='GiB'>2</currentMemory>
  <memoryBacking><hugepages/></memoryBacking>
  <vcpu placement='static' cpuset='0-3'>4</vcpu>
  <cputune><shares>512</shares></cputune>
  <numatune><memory mode='strict' nodeset='0'/></numatune>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
    <nvram>/var/lib/libvirt/qemu/nvram/elsewhere_VARS.fd</nvram>
    <bootmenu enable='yes'/>
  </os>
  <features><acpi/><apic/><vmport state='off'/></features>
  <cpu mode='custom' match='exact' check='partial'>
    <model fallback='allow'>Skylake-Server</model>
    <feature policy='require' name='vmx'/>
  </cpu>
  <clock offset='utc'><timer name='rtc' tickpolicy='catchup'/></clock>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>preserve</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none' io='native'/>
      <source file='/srv/elsewhere.qcow2'/>
      <target dev='vda' bus='virtio'/>
      <iotune><read_bytes_sec>1000000</read_bytes_sec></iotune>
      <serial>WD-1234</serial>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>
    </disk>
    <disk type='file' device='cdrom'>
      <target dev='sda' bus='sata'/><readonly/>
    </disk>
    <controller type='usb' index='0' model='qemu-xhci' ports='15'/>
    <controller type='pci' index='0' model='pcie-root'/>
    <filesystem type='mount' accessmode='passthrough'>
      <source dir='/srv/share'/><target dir='share'/>
    </filesystem>
    <interface type='network'>
      <mac address='52:54:00:12:34:56'/>
      <source network='default'/>
      <model type='e1000e'/>
      <link state='up'/>
      <bandwidth><inbound average='1000'/></bandwidth>
    </interface>
    <interface type='bridge'>
      <mac address='52:54:00:12:34:57'/><source bridge='br1'/><model type='virtio'/>
    </interface>
    <serial type='pty'><target type='isa-serial' port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>
    <input type='keyboard' bus='ps2'/>
    <graphics type='spice' autoport='yes' listen='127.0.0.1'>
      <listen type='address' address='127.0.0.1'/><image compression='off'/>
    </graphics>
    <sound model='ich9'/>
    <video><model type='bochs' vram='16384' heads='1' primary='yes'/></video>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address domain='0x0000' bus='0x06' slot='0x02' function='0x0'/></source>
    </hostdev>
    <redirdev bus='usb' type='spicevmc'/>
    <watchdog model='i6300esb' action='reset'/>
    <memballoon model='virtio'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
  </devices>
  <seclabel type='dynamic' model='apparmor' relabel='yes'/>
  <qemu:commandline><qemu:arg value='-newarg'/></qemu:commandline>
</domain>
"""
