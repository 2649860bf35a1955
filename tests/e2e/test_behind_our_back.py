# SPDX-License-Identifier: Apache-2.0
"""virsh behind our back: the API shows it, tells how long that took, and settles it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import MIB, POOL, USER, Service, domain_xml
from tests.lab.cell import Cell
from tests.nano_client import NanoClient

pytestmark = pytest.mark.lab

#: Not a goal: the machine that runs the tests may be busy with anything.
_PATIENCE_SECONDS = 300
_MAC = "00:16:3e:99:00:01"
_FOREIGN = "5a50c4b1-3c1b-4f6b-9d6d-0d3e8f6f1c99"
_FOREIGN_XML = f"""<domain type='qemu'><name>theirs</name><uuid>{_FOREIGN}</uuid>
<memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64'>hvm</type></os>
<devices><graphics type='vnc' autoport='yes'/></devices></domain>"""


class Stopwatch:
    """What was done, and after how long the API showed it."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def until(self, what: str, look: Callable[[], Any]) -> Any:
        """Wait for a callable to answer true."""
        begun = time.monotonic()
        while not (found := look()):
            assert time.monotonic() - begun < _PATIENCE_SECONDS, f"{what}: never shown"
            time.sleep(0.05)
        self._lines.append(f"{what:<34} {time.monotonic() - begun:6.2f} s")
        return found

    def tell(self) -> None:
        """The table."""
        table = "\n".join(self._lines)
        sys.stdout.write(f"\nwhat virsh did                     shown after\n{table}\n")


def drift(client: NanoClient, guest_id: str) -> dict[str, tuple[Any, Any]]:
    """Field → (wanted, found) of a guest; ``missing`` is one of them."""
    for each in client.get("/drift/"):
        if each["guest"] == guest_id:
            fields = {
                part["field"]: (part.get("wanted"), part.get("found")) for part in each["fields"]
            }
            return {**fields, "missing": (False, True)} if each["missing"] else fields
    return {}


def virsh(cell: Cell, *words: str) -> str:
    return str(cell.run(["virsh", *words]).stdout)


@pytest.mark.usefixtures("clean_cells")
def test_behind_our_back(service: Service, image: str) -> None:
    client, watch = service.client, Stopwatch()
    guest_id, _job = client.create_guest(service.order("behind", from_image=image))
    guest = client.wait_for_guest(guest_id)
    cell, name = service.cell(guest["cell"]), guest["name"]
    try:
        _power(client, watch, cell, guest)
        _definition(client, watch, cell, guest)
        _undefined(client, watch, cell, guest)
        _unknown(client, watch, cell)
    finally:
        watch.tell()
    client.login(USER, "Correct-horse-7")
    client.call("DELETE", f"/guests/{guest_id}")
    assert name not in virsh(cell, "list", "--all")


def _power(client: NanoClient, watch: Stopwatch, cell: Cell, guest: dict[str, Any]) -> None:
    path, figures = f"/guests/{guest['id']}", f"/instances/{guest['id']}"
    virsh(cell, "start", guest["name"])
    watch.until("start", lambda: client.get(path)["running"])
    watch.until("bytes read, after the start", lambda: client.get(figures)["bytes_read"] > 0)
    assert client.get(figures)["memory_available"] < 128 * MIB
    status = f"/compute_cell_status/{POOL}/{guest['cell']}"
    assert client.get(status)["cpu_usage"] > 0
    virsh(cell, "destroy", guest["name"])
    watch.until("destroy", lambda: not client.get(path)["running"])


def _definition(client: NanoClient, watch: Stopwatch, cell: Cell, guest: dict[str, Any]) -> None:
    guest_id, name = guest["id"], guest["name"]
    assert drift(client, guest_id) == {}
    virsh(cell, "setmem", name, "32M", "--config")
    found = watch.until("setmem (drift)", lambda: drift(client, guest_id))
    assert found == {"memory_bytes": (128 * MIB, 32 * MIB)}
    client.login(USER, "Correct-horse-7")
    client.call("POST", f"/drift/{guest_id}/repair")
    assert f">{128 * 1024}</currentMemory>" in domain_xml(cell, name)

    virsh(cell, "detach-interface", name, "bridge", "--config")
    interface = ["attach-interface", name, "bridge", "br0", "--model", "virtio", "--mac", _MAC]
    virsh(cell, *interface, "--config")
    found = watch.until(
        "another network card (drift)",
        lambda: (now := drift(client, guest_id)).get("network.mac", ("", ""))[1] == _MAC and now,
    )
    assert found == {"network.mac": (guest["ethernet_address"], _MAC)}
    virsh(cell, "autostart", name)
    watch.until("autostart (drift)", lambda: "auto_start" in drift(client, guest_id))
    client.login(USER, "Correct-horse-7")
    client.call("POST", f"/drift/{guest_id}/accept")
    taken = client.get(f"/guests/{guest_id}")
    assert (taken["ethernet_address"], taken["auto_start"]) == (_MAC, True)
    assert drift(client, guest_id) == {}


def _undefined(client: NanoClient, watch: Stopwatch, cell: Cell, guest: dict[str, Any]) -> None:
    guest_id, name = guest["id"], guest["name"]
    secret = client.get(f"/guests/{guest_id}")["monitor_secret"]
    virsh(cell, "undefine", name)
    watch.until("undefine (drift)", lambda: "missing" in drift(client, guest_id))
    client.login(USER, "Correct-horse-7")
    client.call("POST", f"/drift/{guest_id}/repair")
    xml = virsh(cell, "dumpxml", "--inactive", "--security-info", name)
    assert f"passwd='{secret}'" in xml
    assert f"{guest_id}_" in xml
    assert _MAC in xml
    virsh(cell, "start", name)
    watch.until("start, after the repair", lambda: client.get(f"/guests/{guest_id}")["running"])
    client.call("DELETE", f"/instances/{guest_id}", {"force": True})


def _unknown(client: NanoClient, watch: Stopwatch, cell: Cell) -> None:
    cell.run(["sh", "-c", "cat > /tmp/theirs.xml"], input_text=_FOREIGN_XML)
    virsh(cell, "define", "/tmp/theirs.xml")

    def listed() -> Any:
        return [each for each in client.get("/unknown_guests/") if each["id"] == _FOREIGN]

    (unknown,) = watch.until("define (unknown guest)", listed)
    assert (unknown["name"], unknown["cell"], unknown["memory"]) == ("theirs", cell.name, 64 * MIB)
    client.login(USER, "Correct-horse-7")
    body = {"owner": USER, "group": USER}
    client.call("POST", f"/unknown_guests/{cell.name}/{_FOREIGN}", body)
    adopted = client.get(f"/guests/{_FOREIGN}")
    assert (adopted["name"], adopted["owner"], adopted["cores"]) == ("theirs", USER, 1)
    assert listed() == []
    assert f'owner="{USER}"' in domain_xml(cell, "theirs").replace("'", '"')
    client.call("DELETE", f"/guests/{_FOREIGN}")
    assert "theirs" not in virsh(cell, "list", "--all")
