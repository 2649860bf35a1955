# SPDX-License-Identifier: Apache-2.0
"""A new cloud from its first start to its end: an API of its own, and two real cells."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import PASSWORD, USER, Service
from tests.e2e.journey import Journey
from tests.lab.lab import Lab
from tests.nano_client import ApiError, NanoClient

pytestmark = pytest.mark.lab

_RENEW_SECONDS = 60


class Heartbeat:
    """Renews the session as the portal's shell does; nothing else keeps one alive."""

    def __init__(self, client: NanoClient, session: str) -> None:
        self._client, self._path = client, f"/sessions/{session}"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(_RENEW_SECONDS):
            self._client.call("PUT", self._path)


@pytest.fixture
def new_cloud(onboarded: Lab, tmp_path: Path) -> Iterator[Service]:
    """An API that nobody has used, beside the one that other tests share."""
    service = Service(onboarded, tmp_path)
    service.api.start(onboarded.inventory_path, service.port, [onboarded.host_address])
    try:
        service.client.wait_until_it_serves()
        yield service
    finally:
        service.client.close()
        service.api.stop()


@pytest.mark.usefixtures("clean_cells")
def test_from_the_first_start_to_the_end(new_cloud: Service) -> None:
    client = new_cloud.client
    assert client.get("/system/")["ready"] is False
    client.initialise(USER, PASSWORD)
    assert client.get("/system/")["ready"] is True
    with pytest.raises(ApiError, match="system already initialed"):
        client.call("POST", "/system/", {"user": "x", "password": PASSWORD, "menu": ["log"]})
    session = client.login(USER, PASSWORD)
    journey = Journey(new_cloud)
    with Heartbeat(client, session):
        for step in journey.steps():
            begun = time.monotonic()
            step()
            print(f"{step.__name__}: {time.monotonic() - begun:.1f} s")  # noqa: T201
        content = f"{USER}.{USER}(192.0.2.1) : the journey has ended"
        client.call("POST", "/logs/", {"content": content})
        assert client.get("/logs/?limit=1")["logs"][0]["content"] == content
