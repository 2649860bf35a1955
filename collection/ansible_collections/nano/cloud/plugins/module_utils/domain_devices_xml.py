# SPDX-License-Identifier: BSD-2-Clause
"""Devices of a domain: spec ↔ XML, one reader and one writer each. Pure mechanism, no policy.

Writers change what differs from ``found`` and leave everything else of the element alone.
"""

from __future__ import annotations

from typing import Iterator, List, Mapping, Optional, Tuple

from .constants import AGENT_CHANNEL, FILTER_PREFIX
from .errors import InvalidInput
from .guest_spec import GuestDisk, GuestDisplay, GuestNetwork, GuestSpec
from .names import filter_name, serial_log_path
from .xml_tree import Element, add, attribute_of, child_of, element, remove_all

_PREFIXES = {"scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd", "virtio": "vd"}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_GRAPHICS = ("vnc", "spice")


def disk_elements(root: Element) -> List[Element]:
    """The hard disks, in the order of the XML (CD and floppy drives are not disks here)."""
    return [disk for disk in root.findall("./devices/disk") if disk.get("device", "disk") == "disk"]


def read_disks(root: Element, images: Mapping[str, str]) -> Tuple[GuestDisk, ...]:
    """The disks; ``images`` maps volume names to image ids."""
    return tuple(_read_disk(disk, images) for disk in disk_elements(root))


def _read_disk(disk: Element, images: Mapping[str, str]) -> GuestDisk:
    volume = attribute_of(disk, "source", "volume")
    if disk.get("type") == "volume":
        return GuestDisk(
            pool=attribute_of(disk, "source", "pool"),
            volume=volume,
            image=images.get(volume, ""),
        )
    path = attribute_of(disk, "source", "file") or attribute_of(disk, "source", "dev")
    return GuestDisk(path=path)


def read_disk_bus(root: Element, otherwise: str) -> str:
    """The bus of the first disk."""
    for disk in disk_elements(root):
        return attribute_of(disk, "target", "bus") or otherwise
    return otherwise


def add_cdrom(root: Element, bus: str) -> None:
    """The empty drive that takes the user's media."""
    drive = add(child_of(root, "devices"), "disk", type="file", device="cdrom")
    add(drive, "driver", name="qemu", type="raw")
    add(drive, "target", dev=free_target(root, bus, first=0), bus=bus)
    add(drive, "readonly")


def write_disks(root: Element, wanted: GuestSpec, found: Optional[GuestSpec]) -> None:
    """Append new disks, give others another volume, move all to another bus, as is asked."""
    devices = child_of(root, "devices")
    existing = disk_elements(root)
    for present, old, disk in zip(existing, found.disks if found else (), wanted.disks):
        if (old.pool, old.volume, old.path) != (disk.pool, disk.volume, disk.path):
            set_source(present, disk)
    if found is not None and wanted.disk_bus != found.disk_bus:
        _move_disks(root, existing, wanted.disk_bus)
    for disk in wanted.disks[len(existing) :]:
        added = element("disk", type="", device="disk")
        add(added, "driver", name="qemu", type="qcow2", discard="unmap")
        set_source(added, disk)
        add(added, "target", dev=free_target(root, wanted.disk_bus), bus=wanted.disk_bus)
        insert_after_last(devices, "disk", added)
    if wanted.disk_bus == "scsi" and devices.find("./controller[@type='scsi']") is None:
        # Without a model libvirt takes an LSI controller, for which guests have no driver.
        add(devices, "controller", type="scsi", index="0", model="virtio-scsi")


def set_source(disk_element: Element, disk: GuestDisk) -> None:
    """Make a disk's element show another file; what libvirt knew of the old one's layers goes."""
    disk_element.set("type", "volume" if disk.volume else "file")
    remove_all(disk_element, "backingStore")
    source = child_of(disk_element, "source")
    source.clear()
    if disk.volume:
        source.set("pool", disk.pool)
        source.set("volume", disk.volume)
    else:
        source.set("file", disk.path)


def _move_disks(root: Element, disks: List[Element], bus: str) -> None:
    for disk in disks:
        remove_all(disk, "target")
        remove_all(disk, "address")
    for disk in disks:
        add(disk, "target", dev=free_target(root, bus), bus=bus)


def free_target(root: Element, bus: str, first: Optional[int] = None) -> str:
    """The first free device name; IDE has four places, the first two are for CD drives."""
    start = first if first is not None else (2 if bus == "ide" else 0)
    end = 4 if bus == "ide" else len(_LETTERS)
    prefix, used = _PREFIXES[bus], set(_targets(root))
    for letter in _LETTERS[start:end]:
        if prefix + letter not in used:
            return prefix + letter
    raise InvalidInput(f"bus {bus} has no place left for another disk", field="disks")


def _targets(root: Element) -> Iterator[str]:
    for target in root.findall("./devices/disk/target"):
        yield target.get("dev", "")


def read_network(root: Element) -> Optional[GuestNetwork]:
    """The first network card."""
    card = root.find("./devices/interface")
    if card is None:
        return None
    return GuestNetwork(
        bridge=attribute_of(card, "source", "bridge"),
        mac=attribute_of(card, "mac", "address").lower(),
        model=attribute_of(card, "model", "type"),
        link=attribute_of(card, "link", "state") or "up",
    )


def write_network(
    root: Element, wanted: Optional[GuestNetwork], found: Optional[GuestNetwork]
) -> None:
    """Change the first network card, or add one."""
    if wanted is None or wanted == found:
        return
    devices = child_of(root, "devices")
    card = devices.find("interface")
    if card is None:
        card = add(devices, "interface", type="bridge")
    if found is None or wanted.mac != found.mac:
        child_of(card, "mac").set("address", wanted.mac)
    if found is None or wanted.bridge != found.bridge:
        card.set("type", "bridge")
        source = child_of(card, "source")
        source.attrib.clear()
        source.set("bridge", wanted.bridge)
    if found is None or wanted.model != found.model:
        child_of(card, "model").set("type", wanted.model)
    if wanted.link != (found.link if found else "up"):
        child_of(card, "link").set("state", wanted.link)


def read_policy(root: Element) -> str:
    """The security policy of the first network card; a filter that is none of ours is none."""
    name = attribute_of(root, "./devices/interface/filterref", "filter")
    return name[len(FILTER_PREFIX) :] if name.startswith(FILTER_PREFIX) else ""


def write_policy(root: Element, policy: str) -> None:
    """Give the first network card a security policy in place of any filter, or none."""
    card = root.find("./devices/interface")
    if card is not None:
        remove_all(card, "filterref")
        if policy:
            add(card, "filterref", filter=filter_name(policy))


def _screen(root: Element) -> Optional[Element]:
    for screen in root.findall("./devices/graphics"):
        if screen.get("type") in _GRAPHICS:
            return screen
    return None


def read_display(root: Element) -> Optional[GuestDisplay]:
    """The VNC or SPICE display as configured (not the port that a start chose)."""
    screen = _screen(root)
    if screen is None:
        return None
    port = display_port(root)
    automatic = screen.get("autoport") == "yes" or port is None
    return GuestDisplay(
        protocol=screen.get("type", ""),
        listen=screen.get("listen") or attribute_of(screen, "listen", "address"),
        port=None if automatic else port,
        password=screen.get("passwd"),
    )


def display_port(root: Element) -> Optional[int]:
    """The port in the XML: of a running guest the real one; None while it is not known."""
    screen = _screen(root)
    port = int(screen.get("port", "-1")) if screen is not None else -1
    return port if port > 0 else None


def write_display(
    root: Element, wanted: Optional[GuestDisplay], found: Optional[GuestDisplay]
) -> None:
    """Change the display, or add one."""
    if wanted is None or wanted == found:
        return
    screen = _screen(root)
    if screen is None:
        screen = add(child_of(root, "devices"), "graphics")
    if found is None or wanted.protocol != found.protocol:
        # Another protocol's attributes (tlsPort, websocket) mean nothing to the new one.
        screen.attrib.clear()
        for child in list(screen):
            screen.remove(child)
        found = None
        screen.set("type", wanted.protocol)
    if found is None or wanted.listen != found.listen:
        remove_all(screen, "listen")
        screen.set("listen", wanted.listen)
    if found is None or wanted.port != found.port:
        screen.set("port", "-1" if wanted.port is None else str(wanted.port))
        screen.set("autoport", "yes" if wanted.port is None else "no")
    if wanted.password is None:
        screen.attrib.pop("passwd", None)
    else:
        screen.set("passwd", wanted.password)


def read_video(root: Element) -> str:
    """The first video card's model."""
    return attribute_of(root, "./devices/video/model", "type") or "none"


def write_video(root: Element, model: str) -> None:
    """Replace the first video card's model; sizes of the old one do not fit the new one."""
    devices = child_of(root, "devices")
    card = devices.find("video")
    if card is None:
        card = add(devices, "video")
    for child in list(card):
        card.remove(child)
    add(card, "model", type=model)


def read_usb(root: Element) -> str:
    """``nec-xhci``, or ``""`` for any other USB controller."""
    found = root.find("./devices/controller[@type='usb'][@model='nec-xhci']")
    return "" if found is None else "nec-xhci"


def write_usb(root: Element, model: str) -> None:
    """Replace the first USB controller and its companions; ``""`` leaves the choice to libvirt."""
    devices = child_of(root, "devices")
    for controller in devices.findall("./controller[@type='usb']"):
        if controller.get("index", "0") == "0":
            devices.remove(controller)
    if model:
        insert_after_last(
            devices,
            "controller",
            element("controller", type="usb", index="0", model=model),
        )


def read_tablet(root: Element) -> str:
    """The tablet's bus, ``""`` for none."""
    return attribute_of(root, "./devices/input[@type='tablet']", "bus")


def write_tablet(root: Element, bus: str) -> None:
    """Replace the tablet."""
    devices = child_of(root, "devices")
    for tablet in devices.findall("./input[@type='tablet']"):
        devices.remove(tablet)
    if bus:
        add(devices, "input", type="tablet", bus=bus)


def agent_channels(root: Element) -> List[Element]:
    """The channels to the guest agent."""
    return [
        channel
        for channel in root.findall("./devices/channel")
        if attribute_of(channel, "target", "name") == AGENT_CHANNEL
    ]


def read_agent(root: Element) -> bool:
    """Whether there is a channel to the guest agent."""
    return bool(agent_channels(root))


def write_agent(root: Element, wanted: bool) -> None:
    """Add or remove the channel to the guest agent."""
    devices, channels = child_of(root, "devices"), agent_channels(root)
    if wanted and not channels:
        channel = add(devices, "channel", type="unix")
        add(channel, "target", type="virtio", name=AGENT_CHANNEL)
    if not wanted:
        for channel in channels:
            devices.remove(channel)


def add_serial_console(root: Element) -> None:
    """A serial port that is the guest's console."""
    devices = child_of(root, "devices")
    port = add(devices, "serial", type="pty")
    add(port, "target", port="0")
    console = add(devices, "console", type="pty")
    add(console, "target", type="serial", port="0")


def read_serial_log(root: Element) -> bool:
    """Whether a serial port is logged to a file."""
    return root.find("./devices/serial/log") is not None


def write_serial_log(root: Element, wanted: bool, guest_id: str) -> None:
    """Log the first serial port to the guest's file, or no serial port to any."""
    devices = child_of(root, "devices")
    # A console is the first serial port's second name; what is said of one must hold for both.
    for port in devices.findall("serial") + devices.findall("console"):
        remove_all(port, "log")
    if not wanted:
        return
    if devices.find("serial") is None:
        add_serial_console(root)
    path = serial_log_path(guest_id)
    both = (devices.find("serial"), devices.find("./console/target[@type='serial']/.."))
    for device in both:
        if device is not None:
            add(device, "log", file=path, append="on")


def insert_after_last(devices: Element, tag: str, new: Element) -> None:
    """Keep devices of a kind together: people read these files."""
    position = len(devices)
    for index, child in enumerate(list(devices)):
        if child.tag == tag:
            position = index + 1
    devices.insert(position, new)
