# SPDX-License-Identifier: Apache-2.0
"""The least that libvirt must be told for what our modules do, timed. Runs inside a cell.

Standard input: ``{"xml": a guest's definition, "id", "name": those in it, "image": path of its
backing file, "iso": path, "policy": XML of a filter, "times": how often}``. Standard output:
``{step: [seconds, …]}``.
"""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import libvirt

_OVERLAY = """<volume><name>{name}</name><capacity>{bytes}</capacity><target>
<format type='qcow2'/></target><backingStore><path>{image}</path><format type='qcow2'/>
</backingStore></volume>"""
_POOL = "<pool type='dir'><name>{name}</name><target><path>/srv/{name}</path></target></pool>"
_DRIVE = """<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>{source}
<target dev='{device}' bus='{bus}'/><readonly/></disk>"""
_SIZE_BYTES = 2 << 30

_seconds: dict[str, list[float]] = {}


# Live, in the definition, and though the guest holds the drive's door.
_NOW = (
    libvirt.VIR_DOMAIN_AFFECT_LIVE
    | libvirt.VIR_DOMAIN_AFFECT_CONFIG
    | libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE
)


def timed(step: str, action: Callable[[], Any]) -> Any:
    """Do it, and note how long it took."""
    begun = time.perf_counter()
    done = action()
    _seconds.setdefault(step, []).append(time.perf_counter() - begun)
    return done


def one_round(connection: Any, order: dict[str, Any], number: int) -> None:
    """Each step once, with a guest of its own."""
    new = str(uuid.uuid4())
    xml = order["xml"].replace(order["id"], new).replace(order["name"], f"raw.{new[:8]}")
    xml = xml.replace(order["mac"], f"00:16:3e:77:77:{number:02x}")
    pool = connection.storagePoolLookupByName("default")
    overlay = _OVERLAY.format(name=f"{new}_sys.qcow2", bytes=_SIZE_BYTES, image=order["image"])

    def create() -> Any:
        pool.createXML(overlay)
        return connection.defineXML(xml)

    domain = timed("guest: create", create)
    changed = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE).replace("<vcpu", "<vcpu", 1)
    timed("guest: change", lambda: connection.defineXML(changed))
    timed("guest_power: running", domain.create)
    timed("guest_info", lambda: (domain.XMLDesc(), domain.info(), _figures(connection, domain)))
    _media(domain, order["iso"])
    timed("guest_power: stopped", domain.destroy)
    _snapshot(domain, pool, new)

    def remove() -> None:
        for volume in pool.listAllVolumes():
            if volume.name().startswith(new):
                volume.delete()
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)

    timed("guest: remove", remove)


def _figures(connection: Any, domain: Any) -> Any:
    return connection.domainListGetStats([domain], 0)


def _media(domain: Any, iso: str) -> None:
    import xml.etree.ElementTree as ElementTree  # what it reads is libvirt's own

    for disk in ElementTree.fromstring(domain.XMLDesc()).iter("disk"):
        target = disk.find("target")
        if disk.get("device") == "cdrom" and target is not None:
            names = {"device": target.get("dev"), "bus": target.get("bus")}
            full = _DRIVE.format(source=f"<source file='{iso}'/>", **names)
            empty = _DRIVE.format(source="", **names)
            timed("guest_media: insert", lambda full=full: domain.updateDeviceFlags(full, _NOW))
            timed("guest_media: eject", lambda empty=empty: domain.updateDeviceFlags(empty, _NOW))
            return


def _snapshot(domain: Any, pool: Any, guest_id: str) -> None:
    path = pool.storageVolLookupByName(f"{guest_id}_sys.qcow2").path()
    layer = path.replace("_sys.qcow2", "_layer.qcow2")

    def create() -> None:
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", path, "-F", "qcow2", layer]
        subprocess.run(command, check=True)
        described = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE).replace(path, layer)
        domain.connect().defineXML(described)

    def delete() -> None:
        subprocess.run(["qemu-img", "commit", "-q", "-f", "qcow2", layer], check=True)
        described = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE).replace(layer, path)
        domain.connect().defineXML(described)
        subprocess.run(["rm", layer], check=True)

    timed("snapshot: create", create)
    timed("snapshot: delete", delete)
    pool.refresh()


def _pool_and_filter(connection: Any, order: dict[str, Any]) -> None:
    name = f"raw-{uuid.uuid4().hex[:8]}"

    def make_pool() -> Any:
        pool = connection.storagePoolDefineXML(_POOL.format(name=name))
        pool.build()
        pool.create()
        pool.setAutostart(True)
        return pool

    def remove_pool() -> None:
        pool.destroy()
        pool.undefine()

    pool = timed("storage_pool: create", make_pool)
    timed("storage_pool_info", lambda: [each.info() for each in connection.listAllStoragePools()])
    timed("storage_pool: remove", remove_pool)
    subprocess.run(["rmdir", f"/srv/{name}"], check=True)
    policy = order["policy"].replace(order["policy_name"], name)
    policy = policy.replace(order["policy_id"], str(uuid.uuid4()))
    rule = timed("security_policy: create", lambda: connection.nwfilterDefineXML(policy))
    timed("security_policy: remove", rule.undefine)
    timed("cell_info", lambda: (connection.getInfo(), connection.getCapabilities()))


def main() -> None:
    """Read the order, do it, tell the seconds."""
    order = json.load(sys.stdin)
    connection = libvirt.open("qemu:///system")
    for number in range(order["times"]):
        one_round(connection, order, number)
        _pool_and_filter(connection, order)
    json.dump(_seconds, sys.stdout)


main()
