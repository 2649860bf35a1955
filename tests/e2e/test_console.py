# SPDX-License-Identifier: Apache-2.0
"""A guest's display and serial console through the API: one use, soon, and while logged in."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.e2e.conftest import PASSWORD, USER, Service
from tests.nano_client import ApiError, NanoClient
from tests.rfb_client import RfbClient

pytestmark = pytest.mark.lab

AT_ONCE = 50


def open_channel(client: NanoClient, guest_id: str, **fields: Any) -> dict[str, str]:
    return dict(client.call("POST", "/monitor_channels/", {"guest": guest_id, **fields}).data)


@contextmanager
def websocket(service: Service, channel: str, **options: Any) -> Iterator[ClientConnection]:
    address = f"{service.lab.host_address}:{service.port}"
    url = f"ws://{address}/api/v1/monitor_channels/{channel}"
    options.setdefault("subprotocols", ["binary"])
    with connect(url, proxy=None, open_timeout=60, **options) as socket:
        yield socket


def refusal(service: Service, channel: str, **options: Any) -> str:
    with pytest.raises(InvalidStatus) as refused, websocket(service, channel, **options):
        pass
    assert refused.value.response.status_code == 200
    return str(json.loads(refused.value.response.body)["message"])


def serial_log(client: NanoClient, guest_id: str) -> str:
    with suppress(ApiError):  # not there before the guest has run
        return str(client.get(f"/guests/{guest_id}/serial_log")["text"])
    return ""


def wait_for_serial(client: NanoClient, guest_id: str, text: str, seconds: float = 180) -> None:
    """Wait until the guest has written this to its serial console."""
    deadline = time.monotonic() + seconds
    while text not in serial_log(client, guest_id):
        assert time.monotonic() < deadline, f"the guest does not write {text}"
        time.sleep(1)


@contextmanager
def another_user(service: Service, name: str) -> Iterator[NanoClient]:
    """A second administrator, logged in."""
    client = service.client
    client.call("POST", f"/users/{name}", {"password": PASSWORD})
    client.call("POST", f"/user_groups/{USER}/members/{name}")
    theirs = NanoClient(f"http://{service.lab.host_address}:{service.port}")
    try:
        theirs.login(name, PASSWORD)
        yield theirs
    finally:
        theirs.close()
        client.call("DELETE", f"/users/{name}")


def closing(socket: ClientConnection) -> str:
    """Why the other side closes it."""
    with suppress(ConnectionClosed):
        while True:
            socket.recv(timeout=60)
    return socket.close_reason or ""


def colours(picture: Image.Image) -> int:
    found = picture.getcolors(1 << 24)
    assert found is not None
    return len(found)


def test_a_console(service: Service, image: str) -> None:
    client = service.client
    order = service.order("console", from_image=image, memory=128 << 20)
    guest_id, _job = client.create_guest(order)
    guest = client.wait_for_guest(guest_id, seconds=400)
    with pytest.raises(ApiError, match="is stopped: start it first"):
        open_channel(client, guest_id)
    client.call("POST", f"/instances/{guest_id}")
    late = open_channel(client, guest_id)
    late_since = time.monotonic()

    channel = open_channel(client, guest_id)
    assert channel["protocol"] == "vnc"
    assert channel["password"] == guest["monitor_secret"]
    with websocket(service, channel["id"]) as socket:
        assert socket.subprotocol == "binary"
        assert socket.recv() == b"RFB 003.008\n"
    assert refusal(service, channel["id"]) == f"invalid channel '{channel['id']}'"
    assert refusal(service, "none-such") == "invalid channel 'none-such'"

    foreign = open_channel(client, guest_id)
    message = refusal(service, foreign["id"], origin="http://evil.example")
    assert "may not open consoles" in message

    # The display itself is open to nobody.
    cell = service.cell(guest["cell"])
    port = guest["internal"]["display_address"].rsplit(":", 1)[1]
    listening = cell.run(["ss", "-Hltn", f"sport = :{port}"]).stdout
    assert f"127.0.0.1:{port}" in listening
    assert len(listening.splitlines()) == 1

    time.sleep(max(0, late_since + 15.5 - time.monotonic()))
    assert refusal(service, late["id"]) == f"invalid channel '{late['id']}'"

    # A viewer sees what has booted, and is put out when its session ends; so is what it prepared.
    wait_for_serial(client, guest_id, "guest-ready")
    with another_user(service, "viewer") as theirs:
        shown = open_channel(theirs, guest_id)
        with websocket(service, shown["id"]) as socket:
            viewer = RfbClient(socket, shown["password"])
            assert colours(viewer.picture()) > 1
            prepared = open_channel(theirs, guest_id)
            change = {"old": PASSWORD, "new": PASSWORD + "x"}
            theirs.call("PUT", "/users/viewer/password/", change)
            assert closing(socket) == "the session that opened this console is over"
        assert "is over" in refusal(service, prepared["id"])


def test_many_consoles_at_once(service: Service, image: str) -> None:
    """All of them logged in to the displays of two guests at the same time, each seeing one."""
    client = service.client
    # QEMU takes no more than 32 viewers of one display.
    orders = [service.order(name, from_image=image, auto_start=True) for name in ("one", "two")]
    guests = [client.create_guest(order)[0] for order in orders]
    for guest_id in guests:
        client.wait_for_guest(guest_id, seconds=400)
    theirs = service.with_token("many")
    coming_in = threading.Semaphore(5)  # a channel that waits for longer than 15 s is worth nothing
    all_are_in = threading.Barrier(AT_ONCE, timeout=300)

    def look(number: int) -> tuple[int, int]:
        try:
            with ExitStack() as stack:
                with coming_in:
                    channel = open_channel(theirs, guests[number % len(guests)])
                    socket = stack.enter_context(websocket(service, channel["id"]))
                viewer = RfbClient(socket, channel["password"])
                all_are_in.wait()
                return viewer.picture().size
        except BaseException:
            all_are_in.abort()
            raise

    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(look, number) for number in range(AT_ONCE)]
        assert all(min(done.result()) > 0 for done in as_completed(running))
    theirs.close()


def read_until(socket: ClientConnection, wanted: str) -> str:
    seen = ""
    while wanted not in seen:
        frame = socket.recv(timeout=60)
        seen += frame.decode() if isinstance(frame, bytes) else frame
    return seen


def test_a_serial_console(service: Service, image: str) -> None:
    client = service.client
    order = service.order("serial", from_image=image, memory=128 << 20, auto_start=True)
    guest_id, _job = client.create_guest(order)
    client.wait_for_guest(guest_id, seconds=400)
    wait_for_serial(client, guest_id, "guest-ready")

    channel = open_channel(client, guest_id, type="serial")
    assert channel["protocol"] == "serial"
    with websocket(service, channel["id"]) as socket:
        socket.send(b"echo binary-$((6 * 7))\n")
        read_until(socket, "binary-42")

        second = open_channel(client, guest_id, type="serial")
        with websocket(service, second["id"]) as waiting:
            assert "Active console session exists" in closing(waiting)

        third = open_channel(client, guest_id, type="serial", force=True)
        with websocket(service, third["id"], subprotocols=None) as forced:
            assert closing(socket) == "the guest closed its console"
            forced.send("echo text-$((6 * 7))\n")
            assert isinstance(forced.recv(timeout=60), str)
            read_until(forced, "text-42")
            forced.send("seq 100000 120000; echo all-$((6 * 7))\n")
            assert "100001\r\n100002" in read_until(forced, "all-42")
    assert refusal(service, channel["id"]) == f"invalid channel '{channel['id']}'"

    found = client.get(f"/guests/{guest_id}/serial_log")
    assert found["cut"]
    assert len(found["text"]) == 64 << 10
    assert "all-42" in found["text"]
    assert "binary-42" not in found["text"]
    client.call("DELETE", f"/instances/{guest_id}", {"force": True})
    assert "all-42" in serial_log(client, guest_id)
