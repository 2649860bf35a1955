# SPDX-License-Identifier: Apache-2.0
"""What people do with a cloud all day, each kind as one round that leaves nothing behind."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.e2e.conftest import MIB, POOL, Service
from tests.e2e.test_console import open_channel, websocket
from tests.rfb_client import RfbClient

#: What the portal asks for while its pages are open.
POLLS = (
    "/compute_zone_status/",
    "/compute_pool_status/",
    f"/compute_pool_status/{POOL}",
    f"/compute_cell_status/{POOL}",
    f"/instance_status/{POOL}",
    f"/guest_search/?pool={POOL}",
    "/storage_pools/",
    "/disk_image_search/",
    "/jobs/?limit=20",
    "/migrations/",
    "/drift/",
)


class Work:
    """Rounds of work over one API, by a client of its own. A round that fails raises."""

    def __init__(self, service: Service, name: str, image: str) -> None:
        self._service = service
        self._name = name
        self._client = service.with_token(name)
        self._image = image
        self._number = itertools.count()

    def running_guest(self) -> str:
        """One that stays; its id."""
        order = self._order(auto_start=True)
        guest_id, _job = self._client.create_guest(order)
        self._client.wait_for_guest(guest_id, 600)
        return guest_id

    def life(self) -> None:
        """A guest is made, started, looked at, saved in a snapshot, stopped and deleted."""
        guest_id = self.running_guest()
        self.look(guest_id)
        self._client.call("DELETE", f"/instances/{guest_id}", {"force": True})
        self._client.call("POST", f"/instances/{guest_id}/snapshots/", {"name": "one"})
        self._client.call("PUT", f"/instances/{guest_id}/snapshots/", {"target": "one"})
        self._client.call("DELETE", f"/instances/{guest_id}/snapshots/one")
        self._client.call("PUT", f"/guests/{guest_id}/memory", {"memory": 96 * MIB})
        self._client.call("DELETE", f"/guests/{guest_id}")

    def look(self, guest_id: str) -> None:
        """Its display and its serial console are opened and closed."""
        channel = open_channel(self._client, guest_id)
        with websocket(self._service, channel["id"]) as socket:
            RfbClient(socket, channel["password"]).picture()
        serial = open_channel(self._client, guest_id, type="serial", force=True)
        with websocket(self._service, serial["id"]) as socket:
            socket.send(b"\n")
            socket.recv(timeout=60)
        self._client.get(f"/guests/{guest_id}/serial_log")

    def move(self, guest_id: str) -> None:
        """It goes to the other cell, running, with its disk."""
        guest = self._client.get(f"/guests/{guest_id}")
        order = {"source_pool": POOL, "source_cell": guest["cell"], "instances": [guest_id]}
        job = self._client.wait_for_job(
            self._client.call("POST", "/migrations/", order).data["id"], 600
        )
        assert job["state"] == "succeeded", job

    def poll(self) -> None:
        """A page of the portal that is open."""
        for path in POLLS:
            self._client.get(path)

    def _order(self, **changes: object) -> dict[str, object]:
        name = f"{self._name}-{next(self._number)}"
        return self._service.order(name, from_image=self._image, **changes)


class Shift:
    """One kind of work, again and again, in a thread of its own."""

    def __init__(self, name: str, do: Callable[[], None], pause_seconds: float) -> None:
        self.name = name
        self.rounds = 0
        self.failures: Counter[str] = Counter()
        self._do = do
        self._pause_seconds = pause_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round that goes on."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ended.is_set():
            begun = time.monotonic()
            try:
                self._do()
                self.rounds += 1
            except Exception as error:
                self.failures[f"{type(error).__name__}: {str(error)[:200]}"] += 1
            self._ended.wait(max(0.1, self._pause_seconds - (time.monotonic() - begun)))
