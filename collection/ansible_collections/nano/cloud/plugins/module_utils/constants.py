# SPDX-License-Identifier: BSD-2-Clause
"""Words and limits that the modules, the documentation and the tests share."""

from __future__ import annotations

DEFAULT_URI = "qemu:///system"
DEFAULT_POOL = "default"
DEFAULT_IMAGE_POOL = "nano-images"
DEFAULT_BRIDGE = "br0"

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

METADATA_URI = "https://nano-cloud.org/xmlns/guest/1"
METADATA_PREFIX = "nano"

NETWORK_MODELS = ("virtio", "e1000", "rtl8139")
DISK_BUSES = ("scsi", "sata", "ide", "virtio")
VIDEO_MODELS = ("vga", "cirrus", "qxl", "virtio", "none")
DISPLAY_PROTOCOLS = ("vnc", "spice")
USB_CONTROLLERS = ("", "nec-xhci")
TABLET_BUSES = ("", "usb", "virtio")
FIRMWARES = ("bios", "uefi")
LINK_STATES = ("up", "down")
DOMAIN_TYPE_CHOICES = ("auto", "kvm", "qemu")
IMAGE_FORMATS = ("qcow2", "raw", "iso")
POOL_TYPES = ("dir", "nfs", "glusterfs", "logical", "rbd")
# Where what a server exports is mounted, unless a path is given.
MOUNT_DIRECTORY = "/var/lib/libvirt/storage"
# On shared pools: locks, and what is known of images, for all hosts that have the pool.
SHARED_STATE_DIRECTORY = ".nano-cloud"
SNAPSHOT_STATES = ("present", "absent", "restored")
DISK_STATES = ("present", "absent", "compacted", "reset")
# libvirt's states of a domain by number; "blocked" only means that it is idle this very moment.
DOMAIN_STATES = (
    "unknown",
    "running",
    "running",
    "paused",
    "stopping",
    "stopped",
    "crashed",
    "suspended",
)
POWER_STATES = ("running", "stopped", "paused", "rebooted", "reset")

AGENT_CHANNEL = "org.qemu.guest_agent.0"
# virtlogd may write here under SELinux and AppArmor, and rotates what it writes.
SERIAL_LOG_DIRECTORY = "/var/log/libvirt/qemu"
# Where libvirt itself keeps the variables of UEFI guests, and the state of emulated TPMs by id.
NVRAM_DIRECTORY = "/var/lib/libvirt/qemu/nvram"
TPM_DIRECTORY = "/var/lib/libvirt/swtpm"
# Security policies are network filters of libvirt with names that begin so.
FILTER_PREFIX = "nano-"

MAX_CORES = 254
MIN_MEMORY_BYTES = 16 * MIB
MAX_MEMORY_BYTES = 16 * TIB
MIN_DISK_BYTES = MIB
MAX_DISK_BYTES = 64 * TIB
# qemu-img rounds sizes up to whole sectors; a size that it would change is never idempotent.
DISK_SECTOR_BYTES = 512
# One virtio-scsi controller addresses 15 disks without a second one.
MAX_DISKS = 15
MAX_IDE_DISKS = 2
MAX_TEXT_LENGTH = 256
# Each is a file that QEMU opens with the guest; libvirt follows a chain of 200.
MAX_SNAPSHOTS = 100
# QEMU's VNC server looks at the first eight characters only (DES).
VNC_PASSWORD_LENGTH = 8
MIN_DISPLAY_PORT = 1024
MAX_DISPLAY_PORT = 65535

DEFAULT_LOCK_TIMEOUT_SECONDS = 60
DEFAULT_STOP_TIMEOUT_SECONDS = 60
