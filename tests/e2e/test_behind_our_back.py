# SPDX-License-Identifier: Apache-2.0
"""virsh behind our back: the API shows it, and tells how long that took."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import MIB, Service

pytestmark = pytest.mark.lab

#: Not a goal: the machine that runs the tests may be busy with anything.
_PATIENCE_SECONDS = 300


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
        self._lines.append(f"{what:<28} {time.monotonic() - begun:6.2f} s")
        return found

    def print(self) -> None:
        """The table."""
        sys.stdout.write(
            "\nwhat virsh did               shown after\n" + "\n".join(self._lines) + "\n"
        )


def test_a_guest_is_started_and_stopped(service: Service, image: str) -> None:
    client, watch = service.client, Stopwatch()
    guest_id, _job = client.create_guest(service.order("behind", from_image=image))
    guest = client.wait_for_guest(guest_id)
    cell, path = service.cell(guest["cell"]), f"/guests/{guest_id}"
    cell.run(["virsh", "start", guest["name"]])
    watch.until("start", lambda: client.get(path)["running"])
    figures = f"/instances/{guest_id}"
    watch.until("bytes read", lambda: client.get(figures)["bytes_read"] > 0)
    watch.until("memory of the balloon", lambda: client.get(figures)["memory_available"] > 0)
    assert client.get(figures)["memory_available"] < 64 * MIB
    status = f"/compute_cell_status/lab/{guest['cell']}"
    assert client.get(status)["cpu_usage"] > 0
    assert "stale" not in client.get(status)
    cell.run(["virsh", "destroy", guest["name"]])
    watch.until("destroy", lambda: not client.get(path)["running"])
    watch.print()
