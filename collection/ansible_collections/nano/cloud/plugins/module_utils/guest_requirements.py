# SPDX-License-Identifier: BSD-2-Clause
"""What a guest needs of its host beside space: firmware, a TPM, its security policy."""

from __future__ import annotations

from typing import Optional

from . import host_firmware, names
from .errors import NotFound
from .guest_spec import GuestSpec
from .libvirt_host import LibvirtHost


def check_requirements(host: LibvirtHost, wanted: GuestSpec, found: Optional[GuestSpec]) -> None:
    """Look for what the guest needs and has not had until now; ``found`` None: a new guest.

    :raises Unsupported: the host cannot do it; names the packages
    :raises NotFound: there is no such security policy
    """
    if wanted.security_policy != (found.security_policy if found else ""):
        _check_policy(host, wanted.security_policy)
    if not host.is_local_hypervisor:
        return  # Another machine's files cannot be looked at; libvirt will refuse there itself.
    firmware = (wanted.firmware, wanted.secure_boot, wanted.machine)
    if wanted.firmware == "uefi" and (
        found is None or firmware != (found.firmware, found.secure_boot, found.machine)
    ):
        host_firmware.check_firmware(wanted.arch, wanted.machine, wanted.secure_boot)
    if wanted.tpm and not (found and found.tpm):
        host_firmware.check_tpm()


def _check_policy(host: LibvirtHost, policy: str) -> None:
    name = names.filter_name(policy)
    if policy and not host.has_filter(name):
        raise NotFound(
            f"security_policy {policy} does not exist on this host: libvirt has no network filter "
            f"{name}; make the policy first",
            field="security_policy",
            policy=policy,
        )
