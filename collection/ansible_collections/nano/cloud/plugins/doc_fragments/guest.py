# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest can be asked to be."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of one guest, and the list of many that takes the same."""

    DOCUMENTATION = r"""
options:
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
  cloud_init: &cloud_init
    description:
      - What cloud-init sets up in the guest's system, for images of Linux that have it. The guest
        gets a second CD drive with a NoCloud medium, C(ID_ci.iso) in the pool of its disks.
      - Given, it says everything, what it leaves out is the default. Left out, the medium stays.
      - cloud-init reads the medium at each start, and sets up accounts, keys, disks and network
        once for each O(cloud_init.instance_id). A changed medium is used at the next start.
      - Passwords stand hashed in the medium, which only root and QEMU can read on the host. They
        are in no result and in no diff.
    type: dict
    suboptions:
      enabled:
        description: Whether there is a medium. V(false) removes it from a guest that is stopped.
        type: bool
        default: true
      hostname:
        description: Host name. By default the last part of the guest's name.
        type: str
      instance_id:
        description:
          - What cloud-init takes for another machine when it changes. By default the guest's id.
        type: str
      users:
        description: Accounts. Without any, the system has only those of its image.
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of the account; V(root) or one of the image is changed.
            type: str
            required: true
          password:
            description:
              - Password in clear, kept as a hash (SHA-512). Without a password there is no login
                by password.
            type: str
          password_hash:
            description: Hash of a password as C(crypt) makes it, instead of the password.
            type: str
          ssh_keys:
            description: Public keys that may log in.
            type: list
            elements: str
          groups:
            description: Further groups of the account.
            type: list
            elements: str
          sudo:
            description: Whether it may become root by C(sudo) without a password.
            type: bool
            default: false
          shell:
            description: Its shell. By default V(/bin/bash).
            type: str
      root_enabled:
        description: Whether V(root) may log in by ssh.
        type: bool
        default: false
      ssh_pwauth:
        description: Whether ssh takes passwords. By default as the image has it.
        type: bool
      network:
        description:
          - Configuration of the network card, which is known by its MAC and named C(eth0). By
            default DHCP.
        type: dict
        suboptions:
          addresses:
            description: Addresses with their networks' sizes, such as V(192.0.2.7/24).
            type: list
            elements: str
          gateways:
            description: Default gateway, one of each IP version.
            type: list
            elements: str
          dns:
            description: Addresses of name servers.
            type: list
            elements: str
          search:
            description: Domains in which short names are looked for.
            type: list
            elements: str
      grow_root:
        description: Whether the root file system grows to the size of its disk, at each start.
        type: bool
        default: true
      data_path:
        description:
          - Where the first data disk is mounted; the second one at this path with V(2) after it,
            and so on. Blank disks get an ext4 file system, others are left alone.
        type: str
      user_data:
        description:
          - Further user data. A C(#cloud-config) is merged with what the other options say; lists
            are joined, else its own word counts. A script runs once, after all the rest.
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
    description:
      - Bus of the tablet that makes the pointer follow; empty for none. By default V(usb).
      - Plugged in and out while the guest runs.
    type: str
    choices: ['', usb, virtio]
  agent: &agent
    description:
      - Whether there is a channel to the guest agent. By default V(true).
      - Plugged in and out while the guest runs.
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
      cloud_init: *cloud_init
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
"""
