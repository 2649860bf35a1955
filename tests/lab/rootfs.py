# SPDX-License-Identifier: Apache-2.0
"""The cells' root filesystem: a plain Debian of this machine's release, built once.

It is what a fresh installation would be. The packages that onboarding installs are downloaded
into apt's cache, not installed: a cell is plain until Ansible onboards it, and onboarding needs
no network.
"""

import platform
import shutil
from pathlib import Path

from tests.lab.apt_sources import debian_sources, proxy_options
from tests.lab.cache import cached_directory, cached_path
from tests.lab.commands import Progress, run
from tests.lab.errors import LabError

INSTALLED = [
    "systemd", "systemd-sysv", "dbus", "openssh-server", "python3", "python3-apt",
    "iproute2", "sudo", "ca-certificates",
]  # fmt: skip
DOWNLOADED = [
    "libvirt-daemon-system", "libvirt-clients", "libvirt-daemon-driver-qemu",
    "qemu-system-x86", "qemu-utils", "python3-libvirt", "dnsmasq-base", "bridge-utils",
    "acl", "ovmf", "rsync", "genisoimage", "python3-lxml", "iptables", "nftables",
    "netcat-openbsd", "curl", "kmod", "procps", "iputils-ping", "ebtables", "xz-utils",
    "libvirt-daemon-config-network", "libvirt-daemon-config-nwfilter", "dmidecode",
    "swtpm", "swtpm-tools", "glusterfs-server", "nfs-kernel-server",
    # for the role controller
    "python3-venv", "openssl", "postgresql", "postgresql-client",
]  # fmt: skip
# Units that would only take time from, or lock apt under, a test.
MASKED = [
    "apt-daily.timer", "apt-daily-upgrade.timer", "apt-daily.service",
    "apt-daily-upgrade.service", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "console-getty.service", "getty@tty1.service",
    "systemd-networkd-wait-online.service", "systemd-firstboot.service",
]  # fmt: skip

# Raised when the code below changes what it makes.
RECIPE_VERSION = 1

CELL_UNIT = """\
# SPDX-License-Identifier: Apache-2.0
[Unit]
Description=What a container lacks and a machine has: devices and writable control groups
DefaultDependencies=no
After=local-fs.target
Before=basic.target libvirtd.service virtqemud.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/lab-machine
[Install]
WantedBy=sysinit.target
"""

# A container uses the kernel of its machine and cannot load anything into it.
MODULES_DROP_IN = """\
# SPDX-License-Identifier: Apache-2.0
[Unit]
ConditionVirtualization=!container
"""

# On a machine with control groups of version 2 only, the loop finds nothing to do.
CELL_SCRIPT = """\
#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
set -e
while read -r _ point kind options _; do
    case "$kind:$options" in
        cgroup:ro|cgroup:ro,*) mount -o remount,bind,rw "$point" ;;
    esac
done < /proc/self/mounts
[ -e /dev/fuse ] || mknod -m 666 /dev/fuse c 10 229
mkdir -p /dev/net
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
chmod 666 /dev/net/tun
if [ -e /etc/lab-has-kvm ] && [ ! -e /dev/kvm ]; then
    mknod -m 666 /dev/kvm c 10 232
fi
"""


def release_codename() -> str:
    """Return `bookworm` or `trixie`; raises LabError on any other system."""
    release = platform.freedesktop_os_release()
    codename = release.get("VERSION_CODENAME", "")
    if release.get("ID") != "debian" or codename not in ("bookworm", "trixie"):
        raise LabError(
            f"The lab needs Debian 12 or 13 and this is {release.get('PRETTY_NAME', 'not')}: "
            "use an inventory of real hosts instead (see inventory/)."
        )
    return codename


def recipe() -> dict[str, object]:
    """Return everything that the tree depends on."""
    return {
        "version": RECIPE_VERSION,
        "codename": release_codename(),
        "machine": platform.machine(),
        "installed": INSTALLED,
        "downloaded": DOWNLOADED,
        "masked": MASKED,
        "unit": CELL_UNIT,
        "script": CELL_SCRIPT,
        "modules": MODULES_DROP_IN,
    }


def current_root_filesystem() -> Path:
    """Return where the root filesystem of the present recipe is, or would be."""
    return cached_path("rootfs", recipe())


def root_filesystem(progress: Progress) -> Path:
    """Return the directory with `tree/` (the root filesystem), building it the first time."""

    def build(directory: Path) -> None:
        progress(
            f"Building the cells' root filesystem (Debian {release_codename()}, once: "
            "30 s and the download of about 160 MB)"
        )
        _debootstrap(directory)
        _customise(directory / "tree")

    return cached_directory("rootfs", recipe(), build, progress)


def _debootstrap(directory: Path) -> None:
    sources = directory / "debian.sources"
    sources.write_text(debian_sources(release_codename()))
    download = " ".join(DOWNLOADED)
    run(
        [
            # All of it ends with the process that asked for it, however that ends.
            *("setpriv", "--pdeathsig=KILL"),
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            # Keep apt's lists and the packages' files: onboarding uses them.
            "--skip=cleanup/apt",
            f"--include={','.join(INSTALLED)}",
            *proxy_options(),
            '--customize-hook=chroot "$1" apt-get install --yes --download-only '
            f"--no-install-recommends {download}",
            release_codename(),
            str(directory / "tree"),
            str(sources),
        ],
        timeout_seconds=1800,
    )


def _customise(tree: Path) -> None:
    """Add what makes a container a plain machine with a fixed address and working devices."""
    unit = tree / "etc/systemd/system/lab-machine.service"
    unit.write_text(CELL_UNIT)
    drop_in = tree / "etc/systemd/system/systemd-modules-load.service.d/lab.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(MODULES_DROP_IN)
    script = tree / "usr/local/lib/lab-machine"
    script.write_text(CELL_SCRIPT)
    script.chmod(0o755)
    run(["systemctl", f"--root={tree}", "enable", "lab-machine.service", "systemd-networkd"])
    run(["systemctl", f"--root={tree}", "mask", *MASKED])
    # Each cell gets its own, before it starts.
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (tree / "etc/machine-id").write_text("")
    (tree / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    for name in ("resolv.conf", "hostname"):
        (tree / "etc" / name).unlink(missing_ok=True)
    # The base system's own packages are installed already, their files are of no more use.
    archives = tree / "var/cache/apt/archives"
    installed = set(
        run(["dpkg-query", f"--root={tree}", "-W", "-f", "${Package}_${Version}_${Architecture}\n"])
        .stdout.replace(":", "%3a")
        .split()
    )
    for package in archives.glob("*.deb"):
        if package.stem in installed:
            package.unlink()
    shutil.rmtree(archives / "partial", ignore_errors=True)
