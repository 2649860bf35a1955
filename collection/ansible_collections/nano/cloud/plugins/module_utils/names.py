# SPDX-License-Identifier: BSD-2-Clause
"""Rules for the words that users choose: names, ids, MACs, paths, text; and names made from ids.

Every ``check_*`` returns its value in canonical spelling or raises InvalidInput that names the
field and the rule. All are pure.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import uuid
from typing import Optional, Tuple

from .constants import (
    FILTER_PREFIX,
    MAX_TEXT_LENGTH,
    NVRAM_DIRECTORY,
    SERIAL_LOG_DIRECTORY,
    TPM_DIRECTORY,
)
from .errors import InvalidInput

_GUEST_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_SIMPLE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_BRIDGE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_VOLUME = re.compile(r"(?P<slot>sys|[0-9]+)(\.(?P<layer>[0-9]+))?\.qcow2")
_MEMORY = re.compile(r"memory\.(?P<layer>[0-9]+)\.save")
# A disk on its way to another host, one that is made anew, and the medium that cloud-init reads.
_OTHER_VOLUMES = ("transfer.qcow2", "new.qcow2", "ci.iso")
_CHECKSUMS = {"sha256": 64, "sha512": 128, "sha1": 40}
# What XML 1.0 cannot carry, and control characters, which only serve to deceive readers of logs.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def check_guest_name(name: str, field: str = "name") -> str:
    """A domain name: letters, digits, ``_``, ``.`` and ``-``, 1 to 128 of them."""
    if not _GUEST_NAME.fullmatch(name) or not name.strip("."):
        raise InvalidInput(
            f"{field} {name[:140]!r} is not a guest name: "
            "use 1 to 128 letters, digits, '_', '.', '-'",
            field=field,
        )
    return name


def check_pool_name(name: str, field: str = "pool") -> str:
    """A libvirt storage pool's name that is a plain file name too."""
    return _matching(_SIMPLE_NAME, name, field, "a pool name: letters, digits, '_', '.', '-'")


def check_policy_name(name: str, field: str = "security_policy") -> str:
    """A security policy's name."""
    return _matching(_SIMPLE_NAME, name, field, "a policy's name: letters, digits, '_', '.', '-'")


def check_image_id(image_id: str, field: str = "id") -> str:
    """An image's id: a plain file name without its suffix."""
    return _matching(_SIMPLE_NAME, image_id, field, "an image id: letters, digits, '_', '.', '-'")


def check_bridge_name(name: str, field: str = "network.bridge") -> str:
    """A Linux network interface name, at most 15 characters."""
    return _matching(_BRIDGE_NAME, name, field, "a bridge name: at most 15 characters")


def check_guest_id(guest_id: str, field: str = "id") -> str:
    """A UUID in lower case with dashes."""
    try:
        return str(uuid.UUID(guest_id))
    except ValueError:
        raise InvalidInput(f"{field} {guest_id[:60]!r} is not a UUID", field=field) from None


def check_mac(mac: str, field: str = "network.mac") -> str:
    """A unicast MAC address in lower case with colons."""
    canonical = mac.strip().lower().replace("-", ":")
    _matching(_MAC, canonical, field, "a MAC address such as 00:16:3e:12:34:56")
    if int(canonical[:2], 16) & 1:
        raise InvalidInput(f"{field} {canonical} is a multicast address", field=field)
    return canonical


def check_listen_address(address: str, field: str = "display.listen") -> str:
    """An IPv4 or IPv6 address to listen on."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        raise InvalidInput(f"{field} {address[:60]!r} is not an IP address", field=field) from None


def check_text(text: str, field: str, limit: int = MAX_TEXT_LENGTH) -> str:
    """Plain text of one line, any script, without control characters."""
    if len(text) > limit:
        raise InvalidInput(f"{field} is longer than {limit} characters", field=field)
    if _UNPRINTABLE.search(text):
        raise InvalidInput(f"{field} contains a control character", field=field)
    return text


def check_absolute_path(path: str, field: str = "path") -> str:
    """A normalised absolute path below the root directory."""
    check_text(path, field, limit=1024)
    parts = path.split("/")
    if not path.startswith("/") or path == "/" or ".." in parts or "." in parts:
        raise InvalidInput(
            f"{field} {path!r} is not an absolute path without '.' and '..'", field=field
        )
    return "/" + "/".join(part for part in parts if part)


def check_checksum(checksum: str, field: str = "checksum") -> Tuple[str, str]:
    """``"sha256:<hex>"`` (also sha512, sha1) → (algorithm, lower-case hex digest)."""
    algorithm, _colon, digest = checksum.strip().lower().partition(":")
    length = _CHECKSUMS.get(algorithm)
    if length is None or not re.fullmatch(f"[0-9a-f]{{{length}}}", digest):
        raise InvalidInput(
            f"{field} must be ALGORITHM:HEX with one of {', '.join(sorted(_CHECKSUMS))}",
            field=field,
        )
    return algorithm, digest


def check_snapshot_name(name: str, field: str = "snapshot") -> str:
    """A snapshot's name: text of any script, 1 to 128 characters, usable as a part of a URL."""
    check_text(name, field, limit=128)
    if not name or name != name.strip() or "/" in name or not name.strip("."):
        raise InvalidInput(
            f"{field} {name!r} is not a snapshot's name: it must not be empty, consist of dots, "
            "contain '/', or begin or end with a space",
            field=field,
        )
    return name


def volume_name(guest_id: str, number: int) -> str:
    """The volume of a guest's disk: number 0 is the system disk, 1 the first data disk."""
    return f"{guest_id}_sys.qcow2" if number == 0 else f"{guest_id}_{number - 1}.qcow2"


def layer_name(guest_id: str, slot: str, layer: int) -> str:
    """The volume of a layer over a disk's first one: the disk's slot is that of the first."""
    return f"{guest_id}_{slot}.{layer}.qcow2"


def memory_name(guest_id: str, layer: int) -> str:
    """The volume with the memory of a snapshot; its number is that of the layers begun then."""
    return f"{guest_id}_memory.{layer}.save"


def disk_slot(guest_id: str, volume: str) -> Optional[str]:
    """Which disk of the guest a volume is a layer of (``sys``, ``0``…); None: it is none."""
    found = _VOLUME.fullmatch(_own_part(guest_id, volume))
    return found["slot"] if found else None


def disk_number(guest_id: str, volume: str) -> Optional[int]:
    """Which disk of the guest a volume is a layer of, as ``volume_name`` counts; None: of none."""
    slot = disk_slot(guest_id, volume)
    if slot is None:
        return None
    return 0 if slot == "sys" else int(slot) + 1


def layer_number(guest_id: str, volume: str) -> int:
    """The number in a layer's or a memory volume's name; 0 for a disk's first volume."""
    own = _own_part(guest_id, volume)
    found = _VOLUME.fullmatch(own) or _MEMORY.fullmatch(own)
    return int(found["layer"] or 0) if found else 0


def is_volume_of(guest_id: str, name: str) -> bool:
    """Whether a volume has one of the names that are made for this guest."""
    own = _own_part(guest_id, name)
    return bool(_VOLUME.fullmatch(own) or _MEMORY.fullmatch(own) or own in _OTHER_VOLUMES)


def _own_part(guest_id: str, name: str) -> str:
    prefix = f"{guest_id}_"
    return name[len(prefix) :] if name.startswith(prefix) else ""


def transfer_volume_name(guest_id: str) -> str:
    """A disk on its way to another host, whole; there only while it goes."""
    return f"{guest_id}_transfer.qcow2"


def new_volume_name(guest_id: str) -> str:
    """A disk's file that is made anew; there only until it takes the old one's name."""
    return f"{guest_id}_new.qcow2"


def cloud_init_volume_name(guest_id: str) -> str:
    """The medium that cloud-init reads in the guest."""
    return f"{guest_id}_ci.iso"


def image_file_name(image_id: str, image_format: str) -> str:
    """The file of a cached image inside its pool."""
    return f"{image_id}.{image_format}"


def mac_of(guest_id: str) -> str:
    """A MAC for a guest that was given none: the same one whenever it is asked for."""
    digest = hashlib.sha256(guest_id.encode()).hexdigest()
    return f"00:16:3e:{digest[0:2]}:{digest[2:4]}:{digest[4:6]}"


def serial_log_path(guest_id: str) -> str:
    """Where a guest's serial console is logged. By id: a rename must not lose the log."""
    return f"{SERIAL_LOG_DIRECTORY}/{guest_id}.serial.log"


def nvram_path(guest_id: str, secure_boot: bool) -> str:
    """The variables of a UEFI guest, by id. With secure boot others, which begin with its keys."""
    kind = "_secure" if secure_boot else ""
    return f"{NVRAM_DIRECTORY}/{guest_id}_VARS{kind}.fd"


def tpm_state_path(guest_id: str) -> str:
    """The directory where libvirt keeps the state of a guest's emulated TPM."""
    return f"{TPM_DIRECTORY}/{guest_id}"


def filter_name(policy: str) -> str:
    """libvirt's network filter that is a security policy."""
    return f"{FILTER_PREFIX}{policy}"


def _matching(pattern: re.Pattern[str], value: str, field: str, what: str) -> str:
    if not pattern.fullmatch(value):
        raise InvalidInput(f"{field} {value[:140]!r} is not {what}", field=field)
    return value
