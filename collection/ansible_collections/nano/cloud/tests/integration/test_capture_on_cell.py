# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made of a guest's disk on a real cell, sent to a store, and booted from."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import (
    MIB,
    Site,
    basis,
    console,
    wait_for,
)

pytestmark = pytest.mark.lab
TICKET = "a-ticket"


class Store(ThreadingHTTPServer):
    """What the service's store says to a cell; ``content`` is the form that was sent."""

    content = b""
    sha256 = ""


class _Handler(BaseHTTPRequestHandler):
    server: Store

    def do_GET(self) -> None:
        if not self.server.content:
            self._tell(409, "image 'x' has no file yet")
            return
        self.send_response(206)
        self.send_header("ETag", f'"{self.server.sha256}"')
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()

    def do_POST(self) -> None:
        assert self.headers["Authorization"] == f"Bearer {TICKET}"
        self.server.content = self.rfile.read(int(self.headers["Content-Length"]))
        self._tell(0, "")

    def _tell(self, code: int, message: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"error_code": code, "message": message, "data": ""}).encode())

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def store(site: Site) -> Iterator[Store]:
    server = Store((site.lab.host_address, 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def of_image(site: Site, image_id: str) -> dict[str, Any]:
    found = site.run("image_info", id=image_id)
    assert found.get("changed") is False
    assert site.run("image_info", id=image_id)["images"] == found["images"]
    (image,) = found["images"]
    return dict(image)


def test_an_image_of_a_guest(
    site: Site, web: tuple[str, Path], image: dict[str, Any], store: Store, guest_id: str
) -> None:
    url, folder = web
    order = basis(guest_id, disks=[{"size_bytes": 128 * MIB, "image": image["id"]}])
    site.run("guest", **order)
    what = {"id": "shot", "guest_id": guest_id, "compress": True}
    site.check_then_real_then_again("image_capture", **what)
    shot = of_image(site, "shot")
    assert (shot["virtual_size_bytes"], shot["dependents"]) == (128 * MIB, [])
    assert "backing file" not in site.shell(f"qemu-img info {shot['path']}")
    same = f"qemu-img compare {shot['path']} {site.guest(guest_id)['disks'][0]['path']}"
    assert "identical" in site.shell(same)

    target = f"http://{site.lab.host_address}:{store.server_port}/file/"
    store.sha256 = shot["checksum"].partition(":")[2]
    sending = {"id": "shot", "url": target, "bearer_token": TICKET}
    sent = site.check_then_real_then_again("image_upload", **sending)
    assert TICKET not in json.dumps(sent)
    content = store.content.split(b"octet-stream\r\n\r\n", 1)[1][: shot["size_bytes"]]
    assert hashlib.sha256(content).hexdigest() == store.sha256

    (folder / "boot.iso").write_bytes(site.lab.image_iso.read_bytes())
    site.run("image", id="boot", url=f"{url}/boot.iso", format="iso")
    start = {"id": guest_id, "state": "running", "boot_image": "boot"}
    site.check_then_real_then_again("guest_power", **start)
    assert site.guest(guest_id)["medium"] == "boot"
    assert "boot.iso" not in site.shell(f"virsh dumpxml --inactive {guest_id}")
    assert "guest " in site.run("image", id="boot", format="iso", state="absent")["msg"]
    wait_for("it to boot", lambda: "guest-ready" in console(site, guest_id), 300)
    refused = site.run("image_capture", id="other", guest_id=guest_id)
    assert "name one of its snapshots" in refused["msg"]
    site.run("snapshot", id=guest_id, snapshot="one")
    site.run("image_capture", id="other", guest_id=guest_id, snapshot="one")
    assert of_image(site, "other")["virtual_size_bytes"] == 128 * MIB
    site.run("guest_power", id=guest_id, state="stopped", force=True)
    assert site.guest(guest_id)["medium"] is None
    definition = site.shell(f"virsh dumpxml --inactive --security-info {guest_id}")
    site.shell(f"virsh undefine --keep-nvram {guest_id}")
    site.check_then_real_then_again("guest_definition", xml=definition)
    assert len(site.run("snapshot_info", id=guest_id)["snapshots"]) == 1
    for name, kind in (("shot", "qcow2"), ("other", "qcow2"), ("boot", "iso")):
        assert site.run("image", id=name, format=kind, state="absent").get("changed")
