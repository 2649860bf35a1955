# SPDX-License-Identifier: BSD-2-Clause
"""A guest as data: what its domain XML says (``GuestSpec``) and what was asked (``GuestRequest``).

A spec is complete, a request says nothing about what it leaves as ``None``. The module's argument
spec stands beside the request that is read from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from . import constants, names
from .cloud_init_spec import CLOUD_INIT_ARGUMENTS, CloudInitRequest, cloud_init_request
from .errors import InvalidInput
from .guest_limits_spec import (
    LIMIT_ARGUMENTS,
    NO_DISK_LIMITS,
    NO_LIMITS_REQUEST,
    NO_NETWORK_LIMITS,
    DiskLimits,
    LimitsRequest,
    NetworkLimits,
    limits_request,
)
from .snapshot_tree import NO_SNAPSHOTS, SnapshotTree

GUEST_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "name": {"type": "str"},
    "id": {"type": "str"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "template": {"type": "str"},
    "cores": {"type": "int"},
    "memory_bytes": {"type": "int"},
    "pool": {"type": "str"},
    "disks": {
        "type": "list",
        "elements": "dict",
        "options": {
            "size_bytes": {"type": "int", "required": True},
            "image": {"type": "str"},
            "full_copy": {"type": "bool", "default": False},
        },
    },
    "image_pool": {"type": "str", "default": constants.DEFAULT_IMAGE_POOL},
    "network": {
        "type": "dict",
        "options": {
            "bridge": {"type": "str"},
            "mac": {"type": "str"},
            "model": {"type": "str", "choices": list(constants.NETWORK_MODELS)},
            "link": {"type": "str", "choices": list(constants.LINK_STATES)},
        },
    },
    "security_policy": {"type": "str"},
    "cloud_init": CLOUD_INIT_ARGUMENTS,
    "firmware": {"type": "str", "choices": list(constants.FIRMWARES)},
    "secure_boot": {"type": "bool"},
    "tpm": {"type": "bool"},
    "disk_bus": {"type": "str", "choices": list(constants.DISK_BUSES)},
    "video": {"type": "str", "choices": list(constants.VIDEO_MODELS)},
    "display": {
        "type": "dict",
        "options": {
            "protocol": {"type": "str", "choices": list(constants.DISPLAY_PROTOCOLS)},
            "listen": {"type": "str"},
            "port": {"type": "int"},
            "password": {"type": "str", "no_log": True},
        },
    },
    "usb": {"type": "str", "choices": list(constants.USB_CONTROLLERS)},
    "tablet": {"type": "str", "choices": list(constants.TABLET_BUSES)},
    "agent": {"type": "bool"},
    "serial_log": {"type": "bool"},
    **LIMIT_ARGUMENTS,
    "auto_start": {"type": "bool"},
    "domain_type": {"type": "str", "choices": list(constants.DOMAIN_TYPE_CHOICES)},
    "force": {"type": "bool", "default": False},
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}

#: Options that are about the call, not about one guest of it.
_OF_THE_CALL = ("state", "force", "lock_timeout_seconds")

#: The options of one entry of ``guests``; what it leaves out is taken from the call's own options.
GUEST_ENTRY_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    name: {key: value for key, value in option.items() if key != "default"}
    for name, option in GUEST_ARGUMENTS.items()
    if name not in _OF_THE_CALL
}

GUEST_MODULE_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    **GUEST_ARGUMENTS,
    "guests": {"type": "list", "elements": "dict", "options": GUEST_ENTRY_ARGUMENTS},
}


def guest_entries(params: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Each entry of ``guests`` with the call's options where it says nothing itself."""
    common = {name: params.get(name) for name in GUEST_ENTRY_ARGUMENTS}
    return [
        {**common, **{name: value for name, value in entry.items() if value is not None}}
        for entry in params["guests"]
    ]


@dataclass(frozen=True)
class CpuTopology:
    """``sockets * cores * threads`` is the number of virtual CPUs."""

    sockets: int
    cores: int
    threads: int


@dataclass(frozen=True)
class GuestDisk:
    """A disk of a guest: a volume in a pool (ours), or just a path (foreign domains).

    ``image`` is the id of the image that the disk was made from, ``""`` for none.
    """

    pool: str = ""
    volume: str = ""
    path: str = ""
    image: str = ""


@dataclass(frozen=True)
class GuestNetwork:
    """The guest's network card. ``bridge`` is ``""`` when a foreign one is not on a bridge."""

    bridge: str
    mac: str
    model: str
    link: str = "up"


@dataclass(frozen=True)
class GuestDisplay:
    """The guest's screen. ``port`` None: libvirt chooses one at each start."""

    protocol: str
    listen: str
    port: Optional[int] = None
    password: Optional[str] = None


@dataclass(frozen=True)
class GuestSpec:
    """All that we know to write into a domain, and to read back from it.

    ``topology``, ``network`` and ``display`` are None only for foreign domains without one.
    ``cpu_priority`` and ``security_policy`` are ``""`` where none of ours is set.
    ``cloud_init_pool`` is where the medium is that cloud-init reads, ``""`` without one.
    ``incomplete`` marks a guest whose volumes are not all there: it is being made, or removed.
    """

    id: str
    name: str
    cores: int
    memory_bytes: int
    domain_type: str
    arch: str
    machine: str
    owner: str = ""
    group: str = ""
    template: str = ""
    incomplete: bool = False
    topology: Optional[CpuTopology] = None
    disks: Tuple[GuestDisk, ...] = ()
    disk_bus: str = "scsi"
    network: Optional[GuestNetwork] = None
    security_policy: str = ""
    cloud_init_pool: str = ""
    firmware: str = "bios"
    secure_boot: bool = False
    tpm: bool = False
    video: str = "vga"
    display: Optional[GuestDisplay] = None
    usb: str = ""
    tablet: str = ""
    agent: bool = False
    serial_log: bool = False
    cpu_priority: str = ""
    disk_limits: DiskLimits = NO_DISK_LIMITS
    network_limits: NetworkLimits = NO_NETWORK_LIMITS
    snapshots: SnapshotTree = NO_SNAPSHOTS


@dataclass(frozen=True)
class DiskRequest:
    """A disk that is asked for. ``full_copy`` matters only while the disk is being made.

    ``volume`` is the name of a new one's volume, ``""`` for the next that is free.
    """

    size_bytes: int
    image: str = ""
    full_copy: bool = False
    volume: str = ""


@dataclass(frozen=True)
class NetworkRequest:
    """What is asked of the network card."""

    bridge: Optional[str] = None
    mac: Optional[str] = None
    model: Optional[str] = None
    link: Optional[str] = None


@dataclass(frozen=True)
class DisplayRequest:
    """What is asked of the display. ``port`` 0: an automatic one; ``password`` "": none."""

    protocol: Optional[str] = None
    listen: Optional[str] = None
    port: Optional[int] = None
    password: Optional[str] = None


@dataclass(frozen=True)
class GuestRequest:
    """The checked options of the module ``guest``; None means "as it is, or the default"."""

    name: Optional[str] = None
    id: Optional[str] = None
    owner: Optional[str] = None
    group: Optional[str] = None
    template: Optional[str] = None
    cores: Optional[int] = None
    memory_bytes: Optional[int] = None
    pool: Optional[str] = None
    disks: Optional[Tuple[DiskRequest, ...]] = None
    image_pool: str = constants.DEFAULT_IMAGE_POOL
    network: NetworkRequest = NetworkRequest()
    security_policy: Optional[str] = None
    cloud_init: Optional[CloudInitRequest] = None
    firmware: Optional[str] = None
    secure_boot: Optional[bool] = None
    tpm: Optional[bool] = None
    disk_bus: Optional[str] = None
    video: Optional[str] = None
    display: DisplayRequest = DisplayRequest()
    usb: Optional[str] = None
    tablet: Optional[str] = None
    agent: Optional[bool] = None
    serial_log: Optional[bool] = None
    limits: LimitsRequest = NO_LIMITS_REQUEST
    auto_start: Optional[bool] = None
    domain_type: Optional[str] = None


def has_ide(machine: str) -> bool:
    """Whether a machine type has an IDE controller (of x86 ones only the i440fx family)."""
    return machine == "pc" or machine.startswith("pc-i440fx")


def guest_request(params: Mapping[str, Any]) -> GuestRequest:
    """Checked request from the parameters that passed ``GUEST_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    name, guest_id = params.get("name"), params.get("id")
    if name is None and guest_id is None:
        raise InvalidInput("name or id is required", field="name")
    pool = params.get("pool")
    return GuestRequest(
        name=None if name is None else names.check_guest_name(name),
        id=None if guest_id is None else names.check_guest_id(guest_id),
        owner=_text(params, "owner"),
        group=_text(params, "group"),
        template=_text(params, "template"),
        cores=_cores(params.get("cores")),
        memory_bytes=_memory(params.get("memory_bytes")),
        pool=None if pool is None else names.check_pool_name(pool),
        disks=_disks(params.get("disks")),
        image_pool=names.check_pool_name(
            params.get("image_pool") or constants.DEFAULT_IMAGE_POOL, "image_pool"
        ),
        network=_network(params.get("network") or {}),
        security_policy=_policy(params.get("security_policy")),
        cloud_init=cloud_init_request(params.get("cloud_init")),
        firmware=params.get("firmware"),
        secure_boot=params.get("secure_boot"),
        tpm=params.get("tpm"),
        disk_bus=params.get("disk_bus"),
        video=params.get("video"),
        display=_display(params.get("display") or {}),
        usb=params.get("usb"),
        tablet=params.get("tablet"),
        agent=params.get("agent"),
        serial_log=params.get("serial_log"),
        limits=limits_request(params),
        auto_start=params.get("auto_start"),
        domain_type=params.get("domain_type"),
    )


def _text(params: Mapping[str, Any], field: str) -> Optional[str]:
    value = params.get(field)
    return None if value is None else names.check_text(value, field)


def _cores(cores: Optional[int]) -> Optional[int]:
    if cores is None:
        return None
    if cores < 1 or cores > constants.MAX_CORES:
        raise InvalidInput(f"cores {cores} is not in 1..{constants.MAX_CORES}", field="cores")
    if cores > 1 and cores % 2:
        raise InvalidInput(f"cores {cores} is odd: use 1 or an even number", field="cores")
    return cores


def _memory(memory_bytes: Optional[int]) -> Optional[int]:
    """Whole MiB, rounded up: QEMU rounds so at each start."""
    if memory_bytes is None:
        return None
    _check_range(
        "memory_bytes", memory_bytes, constants.MIN_MEMORY_BYTES, constants.MAX_MEMORY_BYTES
    )
    return -(-memory_bytes // constants.MIB) * constants.MIB


def _disks(disks: Optional[List[Mapping[str, Any]]]) -> Optional[Tuple[DiskRequest, ...]]:
    if disks is None:
        return None
    if len(disks) > constants.MAX_DISKS:
        raise InvalidInput(f"disks has more than {constants.MAX_DISKS} entries", field="disks")
    return tuple(_disk(index, disk) for index, disk in enumerate(disks))


def _disk(index: int, disk: Mapping[str, Any]) -> DiskRequest:
    field = f"disks[{index}]"
    size, image = int(disk["size_bytes"]), disk.get("image") or ""
    _check_range(f"{field}.size_bytes", size, constants.MIN_DISK_BYTES, constants.MAX_DISK_BYTES)
    if image:
        names.check_image_id(image, f"{field}.image")
        if index:
            raise InvalidInput(
                f"{field}.image: only the first disk can be made from an image",
                field=f"{field}.image",
            )
    full_copy = bool(disk.get("full_copy"))
    if full_copy and not image:
        raise InvalidInput(f"{field}.full_copy needs an image to copy", field=f"{field}.full_copy")
    sectors = -(-size // constants.DISK_SECTOR_BYTES)
    return DiskRequest(sectors * constants.DISK_SECTOR_BYTES, image, full_copy)


def _network(network: Mapping[str, Any]) -> NetworkRequest:
    bridge, mac = network.get("bridge"), network.get("mac")
    return NetworkRequest(
        bridge=None if bridge is None else names.check_bridge_name(bridge),
        mac=None if mac is None else names.check_mac(mac),
        model=network.get("model"),
        link=network.get("link"),
    )


def _policy(name: Optional[str]) -> Optional[str]:
    return names.check_policy_name(name) if name else name


def _display(display: Mapping[str, Any]) -> DisplayRequest:
    listen, port, password = display.get("listen"), display.get("port"), display.get("password")
    if port:
        _check_range("display.port", port, constants.MIN_DISPLAY_PORT, constants.MAX_DISPLAY_PORT)
    if password is not None:
        names.check_text(password, "display.password", limit=64)
    return DisplayRequest(
        protocol=display.get("protocol"),
        listen=None if listen is None else names.check_listen_address(listen),
        port=port,
        password=password,
    )


def _check_range(field: str, value: int, minimum: int, maximum: int) -> None:
    if not minimum <= value <= maximum:
        raise InvalidInput(f"{field} {value} is not in {minimum}..{maximum}", field=field)
