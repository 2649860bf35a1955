# SPDX-License-Identifier: Apache-2.0
"""A guest's display through the API: raw RFB over a websocket, one use, soon."""

from __future__ import annotations

import json
import time

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.e2e.conftest import Service
from tests.nano_client import ApiError

pytestmark = pytest.mark.lab


def open_channel(service: Service, guest_id: str) -> dict[str, str]:
    return dict(service.client.call("POST", "/monitor_channels/", {"guest": guest_id}).data)


def websocket(service: Service, channel: str, **options: object) -> ClientConnection:
    address = f"{service.lab.host_address}:{service.port}"
    url = f"ws://{address}/api/v1/monitor_channels/{channel}"
    return connect(url, subprotocols=["binary"], proxy=None, **options)  # type: ignore[arg-type]


def refusal(service: Service, channel: str, **options: object) -> str:
    with pytest.raises(InvalidStatus) as refused:
        websocket(service, channel, **options)
    assert refused.value.response.status_code == 200
    return str(json.loads(refused.value.response.body)["message"])


def test_a_console(service: Service, image: str) -> None:
    client = service.client
    order = service.order("console", from_image=image, memory=128 << 20)
    guest_id, _job = client.create_guest(order)
    guest = client.wait_for_guest(guest_id)
    with pytest.raises(ApiError, match="is stopped: start it first"):
        open_channel(service, guest_id)
    client.call("POST", f"/instances/{guest_id}")

    channel = open_channel(service, guest_id)
    assert channel["protocol"] == "vnc"
    assert channel["password"] == guest["monitor_secret"]
    with websocket(service, channel["id"]) as socket:
        assert socket.subprotocol == "binary"
        assert socket.recv() == b"RFB 003.008\n"
        socket.send(b"RFB 003.008\n")
        # One security type, 2: VNC authentication, then its challenge of 16 bytes.
        assert socket.recv() == b"\x01\x02"
        socket.send(b"\x02")
        assert len(socket.recv()) == 16
    assert refusal(service, channel["id"]) == f"invalid channel '{channel['id']}'"
    assert refusal(service, "none-such") == "invalid channel 'none-such'"

    foreign = open_channel(service, guest_id)
    message = refusal(service, foreign["id"], origin="http://evil.example")
    assert "may not open consoles" in message

    # The display itself is open to nobody.
    cell = service.cell(guest["cell"])
    port = guest["internal"]["display_address"].rsplit(":", 1)[1]
    listening = cell.run(["ss", "-Hltn", f"sport = :{port}"]).stdout
    assert f"127.0.0.1:{port}" in listening
    assert len(listening.splitlines()) == 1

    late = open_channel(service, guest_id)
    time.sleep(15.5)
    assert refusal(service, late["id"]) == f"invalid channel '{late['id']}'"
    client.call("DELETE", f"/guests/{guest_id}", {"force": True})
