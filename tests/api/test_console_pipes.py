# SPDX-License-Identifier: Apache-2.0
"""Open consoles: bytes both ways at the pace of the slower side, and every way to end.

The cell is this machine, and a socket on its loopback stands where a guest's display would.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
from fastapi import WebSocket
from starlette.websockets import WebSocketState
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.consoles.pipe import Ending, Pipe
from nano_api.consoles.streams import Stream
from nano_api.guests.tables import Guest
from nano_api.main import create_app
from nano_api.settings import Settings
from nano_api.users.names import PORTAL_MENUS
from tests.api.conftest import PASSWORD, LoopbackServer, log_in, small_settings
from tests.api.test_visibility import a_guest

GREETING = b"RFB 003.008\n"
_MIB = 1 << 20
#: What sockets and libraries between the two sides may hold. Far less than a second's flow.
_MOST_HELD_BYTES = 48 * _MIB


@pytest.fixture
def display() -> Iterator[socket.socket]:
    """Where a display would listen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        yield listener


class Consoles:
    """A system with one guest that runs, on a cell that is this machine."""

    def __init__(self, settings: Settings, display: socket.socket) -> None:
        self.app = create_app(settings, background=False)
        self.cloud: Cloud = self.app.state.cloud
        self._display = display
        self._guest = a_guest(0, "admin", "admin")
        self._stack = ExitStack()

    def __enter__(self) -> Consoles:
        self._server = self._stack.enter_context(LoopbackServer(self.app))
        url = f"http://127.0.0.1:{self._server.port}/api/v1"
        self.http = self._stack.enter_context(
            httpx.Client(base_url=url, trust_env=False, timeout=60)
        )
        self.http.headers["Nano-Session"] = log_in(self.http)
        with self.cloud.database.transaction() as session:
            local = {"ansible_connection": "local"}
            session.add(Cell(name="c1", address="127.0.0.1", pool="default", connection=local))
            session.flush()
            self._guest.running = True
            self._guest.display_port = self._display.getsockname()[1]
            self._guest.monitor_secret_sealed = self.cloud.secrets.seal("secret")
            session.add(self._guest)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def channel(self, **changes: Any) -> dict[str, Any]:
        answer = self.http.post("/monitor_channels/", json={"guest": "g0", **changes}).json()
        assert answer["error_code"] == 0, answer
        return dict(answer["data"])

    def connect(self, channel_id: str, **options: Any) -> ClientConnection:
        url = f"ws://127.0.0.1:{self._server.port}/api/v1/monitor_channels/{channel_id}"
        options.setdefault("subprotocols", ["binary"])
        return self._stack.enter_context(connect(url, proxy=None, compression=None, **options))

    def open(self, **options: Any) -> tuple[ClientConnection, socket.socket]:
        """The browser's side and the display's."""
        browser = self.connect(self.channel()["id"], **options)
        side, _ = self._display.accept()
        side.settimeout(20)
        return browser, side


@pytest.fixture
def consoles(tmp_path: Path, display: socket.socket) -> Iterator[Consoles]:
    with Consoles(small_settings(tmp_path / "data"), display) as running:
        yield running


def test_bytes_go_both_ways_until_the_display_ends(consoles: Consoles) -> None:
    browser, display = consoles.open()
    with browser, display:
        assert browser.subprotocol == "binary"
        display.sendall(GREETING)
        assert browser.recv() == GREETING
        browser.send(b"\x00\xff")
        assert display.recv(16) == b"\x00\xff"
        display.shutdown(socket.SHUT_RDWR)
        with pytest.raises(ConnectionClosed) as closed:
            browser.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
        1000,
        "the guest closed its console",
    )


def test_what_is_sent_to_a_closed_console_ends_nothing_by_itself() -> None:
    async def scene() -> Ending:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.transport.abort()
        # ssh tells a moment later why.
        complaint = asyncio.create_task(asyncio.sleep(0.2, b"it went away"))
        sent: asyncio.Queue[Any] = asyncio.Queue()
        sent.put_nowait({"type": "websocket.receive", "bytes": b"a key"})
        browser = WebSocket({"type": "websocket"}, sent.get, sent.put)
        browser.client_state = WebSocketState.CONNECTED
        pipe = Pipe(browser, Stream(reader, writer, lambda: None, complaint), binary=True)

        async def allowed() -> None:
            pass

        ending = await pipe.run(idle_seconds=20, check_allowed=allowed)
        server.close()
        return ending

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ending = runner.run(scene())
    assert ending == Ending(1011, "the console cannot be reached: it went away")


def test_a_display_that_is_killed_is_an_end_like_others(consoles: Consoles) -> None:
    browser, display = consoles.open()
    display.sendall(GREETING)
    assert browser.recv() == GREETING
    # Closing with bytes unread is a reset.
    browser.send(b"never read")
    display.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    display.close()
    with pytest.raises(ConnectionClosed) as closed:
        browser.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.reason == "the guest closed its console"


def test_a_browser_that_leaves_frees_the_display(consoles: Consoles) -> None:
    browser, display = consoles.open()
    with display:
        browser.close()
        assert display.recv(16) == b""


def test_a_display_that_is_not_there_is_told(consoles: Consoles, display: socket.socket) -> None:
    channel = consoles.channel()["id"]
    display.close()
    with consoles.connect(channel) as browser, pytest.raises(ConnectionClosed) as closed:
        browser.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    assert "cannot be reached" in closed.value.rcvd.reason


def test_of_many_connections_at_the_same_moment_one_wins(consoles: Consoles) -> None:
    channel = consoles.channel()["id"]

    def attempt(_number: int) -> bool:
        with suppress(InvalidStatus):
            consoles.connect(channel).close()
            return True
        return False

    with ThreadPoolExecutor(5) as pool:
        assert sum(pool.map(attempt, range(5))) == 1


def change_password(http: httpx.Client) -> Any:
    body = {"old": PASSWORD, "new": PASSWORD + "x"}
    return http.put("/users/admin/password/", json=body).json()


def lose_the_menu(http: httpx.Client) -> Any:
    menu = [entry for entry in PORTAL_MENUS if entry != "instance"]
    return http.put("/roles/super", json={"menu": menu}).json()


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (change_password, "the session that opened this console is over"),
        (lose_the_menu, "this needs the menu 'instance', which admin has not"),
    ],
)
def test_a_console_ends_with_the_right_to_it(
    consoles: Consoles, end: Callable[[httpx.Client], Any], reason: str
) -> None:
    unused = consoles.channel()["id"]
    browser, display = consoles.open()
    with browser, display:
        assert end(consoles.http)["error_code"] == 0
        with pytest.raises(ConnectionClosed) as closed:
            browser.recv(timeout=20)
        assert display.recv(16) == b""
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, reason)
    with pytest.raises(InvalidStatus) as refused:
        consoles.connect(unused)
    assert reason in refused.value.response.body.decode()


def test_a_token_opens_a_console_that_ends_when_it_is_revoked(consoles: Consoles) -> None:
    body = {"name": "robot", "menu": ["instance"], "days": 1}
    made = consoles.http.post("/tokens/", json=body).json()["data"]
    headers = {"Nano-Session": "", "Authorization": f"Bearer {made['token']}"}
    answer = consoles.http.post("/monitor_channels/", json={"guest": "g0"}, headers=headers).json()
    with consoles.connect(answer["data"]["id"]) as browser:
        assert consoles.http.delete(f"/tokens/{made['id']}").json()["error_code"] == 0
        with pytest.raises(ConnectionClosed) as closed:
            browser.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_an_unused_console_is_closed_and_a_used_one_is_not(
    tmp_path: Path, display: socket.socket
) -> None:
    settings = small_settings(tmp_path / "data").model_copy(update={"console_idle_seconds": 2.0})
    with Consoles(settings, display) as consoles:
        browser, side = consoles.open()
        used, other = consoles.open()
        with browser, side, used, other:
            over = threading.Event()

            def press_keys() -> None:
                while not over.wait(0.2):
                    used.send(b"key")

            keys = threading.Thread(target=press_keys)
            keys.start()
            with pytest.raises(ConnectionClosed) as closed:
                browser.recv(timeout=20)
            used.ping().wait(20)
            over.set()
            keys.join()
            used.send(b"still there")  # raises when it has been closed
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.reason == "nothing used this console for 2 s"


def flows_until_it_waits(send: Callable[[bytes], Any], done: threading.Event) -> int:
    """Send without end; how much went when nothing more does for a second."""
    sent = 0

    def flow() -> None:
        nonlocal sent
        with suppress(OSError, ConnectionClosed):
            while not done.is_set() and sent <= 2 * _MOST_HELD_BYTES:
                send(b"x" * 65536)
                sent += 65536

    thread = threading.Thread(target=flow, daemon=True)
    thread.start()
    last = -1
    while last != sent and thread.is_alive():
        last = sent
        thread.join(1)
    return sent


def test_a_browser_that_does_not_read_stops_the_display(consoles: Consoles) -> None:
    browser, display = consoles.open(max_queue=1)
    done = threading.Event()
    with display:
        assert 0 < flows_until_it_waits(display.sendall, done) < _MOST_HELD_BYTES
        assert browser.recv()  # and as soon as it reads, more comes
        done.set()


def test_a_display_that_does_not_read_stops_the_browser(consoles: Consoles) -> None:
    browser, display = consoles.open()
    done = threading.Event()
    with display:
        assert 0 < flows_until_it_waits(browser.send, done) < _MOST_HELD_BYTES
        assert display.recv(1)
        done.set()


def test_pages_of_named_origins_may_open_consoles(tmp_path: Path, display: socket.socket) -> None:
    settings = small_settings(tmp_path / "data").model_copy(
        update={"cors_origins": ["https://portal.example"]}
    )
    with Consoles(settings, display) as consoles:
        channel = consoles.channel()["id"]
        with pytest.raises(InvalidStatus):
            consoles.connect(channel, origin="https://evil.example")
        with pytest.raises(InvalidStatus):
            consoles.connect(channel, origin="null")
        consoles.connect(channel, origin="https://portal.example").close()


def test_the_type_of_a_channel(consoles: Consoles) -> None:
    serial = consoles.channel(type="serial")
    assert (serial["protocol"], serial["password"]) == ("serial", "")
    wrong = consoles.http.post("/monitor_channels/", json={"guest": "g0", "type": "vga"}).json()
    assert wrong["message"] == "type must be display or serial, not 'vga'"
    log = consoles.http.get("/guests/none-such/serial_log").json()
    assert log["error_code"] == 404


def test_consoles_of_a_stopped_guest(consoles: Consoles) -> None:
    with consoles.cloud.database.transaction() as session:
        session.get_one(Guest, "g0").running = False
    answer = consoles.http.post("/monitor_channels/", json={"guest": "g0", "type": "serial"}).json()
    assert answer["message"] == "instance 'g0' is stopped: start it first"
