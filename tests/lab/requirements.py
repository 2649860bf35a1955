# SPDX-License-Identifier: Apache-2.0
"""What this machine must have before a lab can be built on it."""

import os
import platform
import re
import sys
from pathlib import Path

from tests.lab.commands import run
from tests.lab.errors import LabError
from tests.lab.identity import Identity
from tests.lab.rootfs import release_codename

PACKAGES_FILE = Path(__file__).with_name("packages.txt")
INSTEAD = "use an inventory of real hosts instead (see inventory/)"


def check_user() -> None:
    """Raise LabError unless this is Linux and root."""
    if sys.platform != "linux":
        raise LabError(f"The lab needs Linux and this is {platform.system()}: {INSTEAD}.")
    if os.geteuid() != 0:
        raise LabError(
            f"The lab needs root for containers and networks: run it with sudo, or {INSTEAD}."
        )


def missing_packages() -> list[str]:
    """Return the packages of packages.txt that are not installed."""
    lines = [line.partition("#")[0].strip() for line in PACKAGES_FILE.read_text().splitlines()]
    wanted = [line for line in lines if line]
    listed = run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n"]).stdout
    installed = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    return [package for package in wanted if package not in installed]


def check_machine(identity: Identity) -> None:
    """Raise LabError, in one sentence, for the first thing that the lab would fail without."""
    check_user()
    release_codename()
    missing = missing_packages()
    if missing:
        raise LabError(
            f"Packages are missing: run `apt-get install --no-install-recommends "
            f"{' '.join(missing)}`."
        )
    for path in ("/sys/fs/cgroup", "/dev/net/tun"):
        if not Path(path).exists():
            raise LabError(f"This machine has no {path}, which the cells need: {INSTEAD}.")
    if "overlay" not in Path("/proc/filesystems").read_text():
        run(["modprobe", "overlay"], check=False)
    if re.search(r"[\s,:\\%\"']", str(identity.state_directory)):
        raise LabError(
            f"The path {identity.state_directory} has a space or a mark that mount and ssh "
            "cannot take: move the checkout."
        )
