# SPDX-License-Identifier: Apache-2.0
"""The tiny guest: Debian's kernel and busybox, bootable as a disk and as a CD.

It gets an address by DHCP on its first network card, prints `guest-ready <hostname> <address>`
on its serial port and its screen, has a shell on both, and powers off by the power button.
"""

import gzip
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cache import cached_directory, cached_path, remove_tree
from tests.lab.commands import Progress, run
from tests.lab.errors import LabError
from tests.lab.guest_programs import ACCOUNTS, install_programs
from tests.lab.mounts import mount_overlay, unmount_below
from tests.lab.rootfs import release_codename, root_filesystem


@dataclass(frozen=True)
class Flavour:
    """A kernel package and the modules taken from it; what these depend on comes with them.

    ``programs`` are files of ``packages``, taken with their libraries.
    """

    name: str
    kernel_package: str
    modules: tuple[str, ...]
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


_VIRTIO_MODULES = (
    "virtio_pci", "virtio_net", "virtio_blk", "virtio_scsi", "virtio_balloon", "virtio_console",
    "virtio_rng", "ata_piix", "ata_generic", "sd_mod", "sr_mod", "button", "evdev",
)  # fmt: skip
# Debian's kernel for clouds unpacks in a tenth of the time, which is half of the whole boot when
# QEMU emulates the processor; but it has no driver for the emulated real cards and for SATA.
VIRTIO = Flavour("virtio", "linux-image-cloud-amd64", _VIRTIO_MODULES)
ALL_DRIVERS = Flavour(
    "all-drivers",
    "linux-image-amd64",
    (*_VIRTIO_MODULES, "e1000", "e1000e", "8139cp", "8139too", "ahci"),
)
# With QEMU's real agent, which sets passwords by the real chpasswd.
AGENT = Flavour(
    "agent",
    "linux-image-cloud-amd64",
    _VIRTIO_MODULES,
    packages=("qemu-guest-agent", "passwd"),
    programs=("/usr/sbin/qemu-ga", "/usr/sbin/chpasswd"),
)
DISK_BYTES = 64 * 1024 * 1024
SOURCES = Path(__file__).parent
BOOT_MENU = """\
DEFAULT guest
PROMPT 0
TIMEOUT 0
LABEL guest
  KERNEL /vmlinuz
  INITRD /initrd.gz
  APPEND console=tty0 console=ttyS0,115200 quiet panic=5 net.ifnames=0 mitigations=off
"""
# Raised when the code below changes what it makes.
RECIPE_VERSION = 2


@dataclass(frozen=True)
class GuestImage:
    """Paths of the same guest as a bootable disk and as a bootable CD."""

    qcow2: Path
    iso: Path


def recipe(flavour: Flavour) -> dict[str, object]:
    """Return everything that the images depend on."""
    return {
        "version": RECIPE_VERSION,
        "codename": release_codename(),
        "kernel": flavour.kernel_package,
        "modules": list(flavour.modules),
        "packages": list(flavour.packages),
        "programs": list(flavour.programs),
        "accounts": ACCOUNTS if flavour.programs else {},
        "disk_bytes": DISK_BYTES,
        "menu": BOOT_MENU,
        "init": (SOURCES / "guest_init.sh").read_text(),
        "udhcpc": (SOURCES / "guest_udhcpc.sh").read_text(),
    }


def guest_image(progress: Progress, flavour: Flavour = VIRTIO) -> GuestImage:
    """Return the images, building them the first time. Raises LabError when that fails.

    The default has drivers for virtio network cards only, and boots twice as fast.
    """
    if platform.machine() != "x86_64":
        raise LabError(f"The tiny guest image is made for x86_64 only, not {platform.machine()}.")

    def build(directory: Path) -> None:
        progress(f"Building the tiny guest image, {flavour.name} (once: 10 s and a download)")
        tree = root_filesystem(progress) / "tree"
        work = directory / "work"
        _unpack_packages(tree, work, flavour)
        _make_initramfs(work, flavour)
        _make_iso(work, directory / "guest.iso")
        _make_disk(directory / "guest.iso", directory / "guest.qcow2")
        remove_tree(work)

    directory = cached_directory(f"guest-{flavour.name}", recipe(flavour), build, progress)
    return GuestImage(directory / "guest.qcow2", directory / "guest.iso")


def current_guest_images() -> list[Path]:
    """Return where the images of the present recipes are, or would be."""
    return [
        cached_path(f"guest-{flavour.name}", recipe(flavour))
        for flavour in (VIRTIO, ALL_DRIVERS, AGENT)
    ]


def _unpack_packages(tree: Path, work: Path, flavour: Flavour) -> None:
    """Download the newest kernel by the cells' own package lists and unpack it; take programs.

    apt runs in a throw-away layer over the cells' root filesystem: nothing is installed for good,
    and it does not matter which archives this machine knows.
    """
    kernel_package = flavour.kernel_package
    layer = work / "apt"
    root = layer / "root"
    mount_overlay(tree, layer / "upper", layer / "work", root)
    try:
        shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
        chroot = ["chroot", str(root)]
        script = (
            "cd /tmp && apt-get update -qq && "
            f"apt-get download -qq $(apt-cache depends {kernel_package} | "
            "sed -n 's/^ *Depends: \\(linux-image-[^ ]*\\)$/\\1/p')"
        )
        run([*chroot, "sh", "-c", script])
        packages = list((root / "tmp").glob("linux-image-*.deb"))
        if len(packages) != 1:
            raise LabError(f"{kernel_package} does not depend on exactly one kernel.")
        run(["dpkg-deb", "-x", str(packages[0]), str(work / "kernel")])
        if flavour.programs:
            install_programs(root, flavour.packages, flavour.programs, work / "initramfs")
    finally:
        unmount_below(root)


def _kernel_release(work: Path) -> str:
    # Debian's unpacked kernels keep modules in lib or, since the merge, in usr/lib.
    releases = [path.name for path in (work / "kernel").glob("**/lib/modules/*")]
    if len(releases) != 1:
        raise LabError(f"The kernel package has modules for {releases or 'no'} kernels.")
    return releases[0]


def _make_initramfs(work: Path, flavour: Flavour) -> None:
    release = _kernel_release(work)
    (modules,) = (work / "kernel").glob("**/lib/modules/*")
    root = work / "initramfs"
    for name in ("bin", "etc"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy2(_busybox(), root / "bin/busybox")
    for source, target in (("guest_init.sh", "init"), ("guest_udhcpc.sh", "etc/udhcpc.sh")):
        shutil.copy2(SOURCES / source, root / target)
        (root / target).chmod(0o755)
    # depmod and modinfo want the tree to begin at /lib/modules.
    base = modules.parents[2]
    run(["depmod", "-b", str(base), release])
    wanted = _with_dependencies(modules, flavour)
    for path in wanted:
        module = root / "lib/modules" / release / path
        module.parent.mkdir(parents=True, exist_ok=True)
        _copy_module(modules / path, module)
    # Lists of what the kernel has built in keep modprobe from complaining about it.
    for name in ("modules.builtin", "modules.order"):
        shutil.copy2(modules / name, root / "lib/modules" / release / name)
    run(["depmod", "-b", str(root), release])
    names = run(["find", ".", "-mindepth", "1"], cwd=root).stdout
    archive = work / "initrd"
    run(
        ["cpio", "--quiet", "--format=newc", "--create", "--owner=0:0", f"--file={archive}"],
        input_text=names,
        cwd=root,
    )
    with open(archive, "rb") as source_file, gzip.open(work / "initrd.gz", "wb", 6) as target_file:
        shutil.copyfileobj(source_file, target_file)


def _copy_module(source: Path, target: Path) -> None:
    """Copy a module uncompressed: busybox knows fewer compressions than Debian uses."""
    if source.suffix == ".xz":
        run(["sh", "-c", 'xz -dc "$1" > "$2"', "sh", str(source), str(target.with_suffix(""))])
    elif source.suffix == ".zst":
        run(["zstd", "-q", "-d", str(source), "-o", str(target.with_suffix(""))])
    else:
        shutil.copy2(source, target)


def _with_dependencies(modules: Path, flavour: Flavour) -> set[Path]:
    """Return the paths of the wanted modules and of all they need, from depmod's table."""
    needs: dict[str, list[Path]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, dependencies = line.partition(":")
        needs[_module_name(path)] = [Path(path), *map(Path, dependencies.split())]
    built_in = {_module_name(line) for line in (modules / "modules.builtin").read_text().split()}
    found: set[Path] = set()
    for module in flavour.modules:
        name = module.replace("-", "_")
        if name in needs:
            found.update(needs[name])
        elif name not in built_in:
            raise LabError(f"{flavour.kernel_package} has no module {module}.")
    return found


def _module_name(path: str) -> str:
    return re.sub(r"\.ko(\.\w+)?$", "", Path(path).name).replace("-", "_")


def _busybox() -> Path:
    """Return the static busybox; another one would find no libraries in the guest."""
    listed = run(["dpkg", "-L", "busybox-static"]).stdout.split()
    found = [Path(path) for path in listed if path.endswith("bin/busybox")]
    if not found:
        raise LabError("The package busybox-static has no busybox.")
    return found[0]


def _make_iso(work: Path, iso: Path) -> None:
    """Write a CD that also boots when its bytes are put on a disk."""
    content = work / "iso"
    boot = content / "isolinux"
    boot.mkdir(parents=True)
    (kernel,) = (work / "kernel/boot").glob("vmlinuz-*")
    shutil.copyfile(kernel, content / "vmlinuz")
    shutil.copyfile(work / "initrd.gz", content / "initrd.gz")
    shutil.copyfile("/usr/lib/ISOLINUX/isolinux.bin", boot / "isolinux.bin")
    shutil.copyfile("/usr/lib/syslinux/modules/bios/ldlinux.c32", boot / "ldlinux.c32")
    (boot / "isolinux.cfg").write_text(BOOT_MENU)
    run(
        [
            "xorriso", "-as", "mkisofs", "-quiet", "-o", str(iso), "-V", "LABGUEST", "-J", "-R",
            "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat",
            "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table",
            "-isohybrid-mbr", "/usr/lib/ISOLINUX/isohdpfx.bin", str(content),
        ]
    )  # fmt: skip


def _make_disk(iso: Path, qcow2: Path) -> None:
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(iso), str(qcow2)])
    if iso.stat().st_size > DISK_BYTES:
        raise LabError(f"The guest has grown beyond its disk of {DISK_BYTES} bytes.")
    run(["qemu-img", "resize", "-f", "qcow2", str(qcow2), str(DISK_BYTES)])
