# SPDX-License-Identifier: Apache-2.0
"""A real cloud image: Debian with cloud-init, the guest agent and ssh, as distributions ship it.

It has no account with a password, no network configuration and no host keys: cloud-init makes
them at the first start. Its root filesystem is smaller than its disk, to be grown.
"""

import os
import shutil
import struct
from pathlib import Path

from tests.lab.apt_sources import debian_sources, proxy_options
from tests.lab.cache import cached_directory, cached_path, remove_tree
from tests.lab.commands import Progress, run
from tests.lab.errors import LabError
from tests.lab.mounts import unmount_below
from tests.lab.rootfs import release_codename

PACKAGES = [
    "systemd-sysv", "dbus", "udev", "kmod", "linux-image-cloud-amd64", "cloud-init",
    "cloud-guest-utils", "fdisk", "e2fsprogs", "openssh-server", "qemu-guest-agent",
    "iproute2", "netplan.io", "systemd-resolved", "sudo",
]  # fmt: skip
# Units that cost an emulated processor a minute and a test nothing.
MASKED = [
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer",
    "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
    "systemd-networkd-wait-online.service",
]  # fmt: skip
DISK_BYTES = 2 * 1024**3
_PARTITION_START = 1024**2
_LABEL = "cloudroot"
BOOT_MENU = f"""\
DEFAULT cloud
PROMPT 0
TIMEOUT 0
LABEL cloud
  KERNEL /vmlinuz
  INITRD /initrd.img
  APPEND root=LABEL={_LABEL} ro console=tty0 console=ttyS0,115200 quiet mitigations=off \
systemd.service_watchdogs=no
"""
CLOUD_CONFIG = """\
# Which data sources are looked for: the others wait for networks that a lab has not.
datasource_list: [ NoCloud, None ]
# There are no locales to choose from, and the keys are not of interest to a console.
locale: false
ssh: { emit_keys_to_console: false }
"""
# On an emulated processor that others use too nothing is late that comes at all.
PATIENCE = """\
[Manager]
DefaultTimeoutStartSec=20min
DefaultDeviceTimeoutSec=20min
"""
# Raised when the code below changes what it makes.
RECIPE_VERSION = 1


def recipe() -> dict[str, object]:
    """Return everything that the image depends on."""
    return {
        "version": RECIPE_VERSION,
        "codename": release_codename(),
        "packages": PACKAGES,
        "masked": MASKED,
        "disk_bytes": DISK_BYTES,
        "menu": BOOT_MENU,
        "cloud": CLOUD_CONFIG,
        "patience": PATIENCE,
    }


def current_cloud_image() -> Path:
    """Return where the image of the present recipe is, or would be."""
    return cached_path("cloud-image", recipe())


def cloud_image(progress: Progress) -> Path:
    """Return the qcow2 file, building it the first time. Raises LabError when that fails."""
    if os.uname().machine != "x86_64":
        raise LabError(f"The cloud image is made for x86_64 only, not {os.uname().machine}.")

    def build(directory: Path) -> None:
        progress("Building a Debian cloud image (once: 2 minutes and a download of 150 MB)")
        tree = directory / "tree"
        _debootstrap(directory, tree)
        _customise(tree)
        _make_disk(directory, tree)
        remove_tree(tree)

    return cached_directory("cloud-image", recipe(), build, progress) / "cloud.qcow2"


def _debootstrap(directory: Path, tree: Path) -> None:
    sources = directory / "debian.sources"
    sources.write_text(debian_sources(release_codename()))
    run(
        [
            # All of it ends with the process that asked for it, however that ends.
            *("setpriv", "--pdeathsig=KILL"),
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "man", "locale")),
            *proxy_options(),
            release_codename(),
            str(tree),
            str(sources),
        ],
        timeout_seconds=1800,
    )


def _customise(tree: Path) -> None:
    """Make it an image: nothing in it belongs to one machine, and the console is the serial one."""
    (tree / "etc/fstab").write_text(f"LABEL={_LABEL} / ext4 errors=remount-ro 0 1\n")
    (tree / "etc/cloud/cloud.cfg.d/95_lab.cfg").write_text(CLOUD_CONFIG)
    patience = tree / "etc/systemd/system.conf.d/lab.conf"
    patience.parent.mkdir(exist_ok=True)
    patience.write_text(PATIENCE)
    run(["systemctl", f"--root={tree}", "mask", *MASKED])
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/hostname").write_text("localhost\n")
    for name in ("var/lib/dbus/machine-id", "etc/resolv.conf"):
        (tree / name).unlink(missing_ok=True)
    (tree / "etc/resolv.conf").symlink_to("/run/systemd/resolve/stub-resolv.conf")
    shutil.rmtree(tree / "var/lib/apt/lists", ignore_errors=True)


def _make_disk(directory: Path, tree: Path) -> None:
    """One partition with the tree in it, that a BIOS starts."""
    raw, mount_point = directory / "disk.raw", directory / "mnt"
    boot = tree / "boot/extlinux"
    boot.mkdir()
    (boot / "extlinux.conf").write_text(BOOT_MENU)
    shutil.copyfile("/usr/lib/syslinux/modules/bios/ldlinux.c32", boot / "ldlinux.c32")
    with open(raw, "wb") as file:
        file.truncate(DISK_BYTES)
    blocks = (DISK_BYTES - _PARTITION_START) // 1024
    run(
        [
            "mke2fs", "-q", "-t", "ext4", "-L", _LABEL, "-d", str(tree),
            # The bootloader reads no 64-bit filesystem.
            *("-O", "^64bit,^metadata_csum"),
            *("-E", f"offset={_PARTITION_START}", str(raw), f"{blocks}k"),
        ]
    )  # fmt: skip
    mount_point.mkdir()
    try:
        run(["mount", "-o", f"loop,offset={_PARTITION_START}", str(raw), str(mount_point)])
        run(["extlinux", "--install", str(mount_point / "boot/extlinux")])
    finally:
        unmount_below(mount_point)
    mount_point.rmdir()
    with open("/usr/lib/syslinux/mbr/mbr.bin", "rb") as code, open(raw, "r+b") as disk:
        disk.write(code.read(440).ljust(446, b"\0") + _partition_table())
    qcow2 = str(directory / "cloud.qcow2")
    run(["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", str(raw), qcow2])
    raw.unlink()


def _partition_table() -> bytes:
    """One active partition of Linux; its places by cylinder are marked as out of reach."""
    out_of_reach = bytes([0xFE, 0xFF, 0xFF])
    sectors = (_PARTITION_START // 512, (DISK_BYTES - _PARTITION_START) // 512)
    entry = b"\x80" + out_of_reach + b"\x83" + out_of_reach + struct.pack("<II", *sectors)
    return entry + bytes(48) + b"\x55\xaa"
