# SPDX-License-Identifier: Apache-2.0
"""``make bench-api``: lists of 10,000 guests, their query plans, and requests per second.

A real server in a process of its own; a bare FastAPI route in the same one is the yardstick.
"""

# A command line talks by printing.
# ruff: noqa: T201

from __future__ import annotations

import argparse
import http.client
import json
import logging
import multiprocessing
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event, insert, text

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.main import create_app
from nano_api.sessions import service as sessions
from nano_api.settings import Settings
from nano_api.users import service as users
from nano_api.users.names import PORTAL_MENUS

CELLS = 100
PAGE = {"limit": 20, "offset": 0}


@dataclass(frozen=True)
class Load:
    """A request that is made again and again. ``tagged``: with the ETag of the first answer."""

    name: str
    method: str
    path: str
    body: dict[str, Any] | None = None
    tagged: bool = False


LOADS = (
    Load("bare FastAPI route", "GET", "/bare"),
    Load("search/guests, first page", "POST", "/api/v1/search/guests/", PAGE),
    Load("search/guests, page at 5000", "POST", "/api/v1/search/guests/", {**PAGE, "offset": 5000}),
    Load("search/guests, keyword", "POST", "/api/v1/search/guests/", {"keyword": "web_77"}),
    Load("search/guests, one cell", "POST", "/api/v1/search/guests/", {"cell": "cell7"}),
    Load("guest_search, one cell", "GET", "/api/v1/guest_search/?pool=default&cell=cell7"),
    Load("the same, unchanged", "GET", "/api/v1/guest_search/?pool=default&cell=cell7", None, True),
    Load("guest_search, whole pool", "GET", "/api/v1/guest_search/?pool=default"),
)


def furnish(cloud: Cloud, guests: int) -> str:
    """An administrator and guests on 100 cells, half of them somebody else's; the session."""
    with cloud.database.transaction() as session:
        users.create_role(session, "super", list(PORTAL_MENUS))
        users.create_group(session, "admin", "", ["super"])
        users.create_user(session, "admin", "no hash")
        users.join_group(session, "admin", "admin")
        opened, _info = sessions.open_session(
            session, "admin", address="", nonce="", lifetime_seconds=86400
        )
        session.execute(
            insert(Cell),
            [
                {"name": f"cell{n}", "address": f"192.0.2.{n}", "pool": "default", "alive": True}
                for n in range(CELLS)
            ],
        )
        session.execute(insert(Guest), [_guest(number) for number in range(guests)])
    return opened


def _guest(number: int) -> dict[str, Any]:
    owner = "admin" if number % 4 else "other"
    return {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "name": f"admin.web_{number:05}",
        "owner": owner,
        "group": "admin" if number % 2 else "other",
        "pool": "default",
        "cell": f"cell{number % CELLS}",
        "cores": 2,
        "memory_bytes": 1 << 30,
        "disks": [10 << 30, 20 << 30],
        "template_id": "centos-7",
        "hardware": {"operating_system": "linux", "control": "vnc"},
        "modules": ["qemu"],
        "limits": {"cpu_priority": "high"},
        "mac": ":".join(["00:16:3e", *(f"{byte:02x}" for byte in number.to_bytes(3, "big"))]),
        "allocated_address": f"198.51.{number >> 8}.{number & 255}/16",
        "display_port": 5901 + number // CELLS,
        "monitor_secret_sealed": "",
        "state": "created",
        "running": bool(number % 3),
        "created_at": now() - timedelta(minutes=number),
    }


def show_plans(cloud: Cloud, app: FastAPI, session: str) -> None:
    """Each load's statements about guests, with what SQLite does for them."""
    seen: list[tuple[str, Any]] = []
    engine = cloud.database.engine

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if "FROM guests" in statement:
            seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    client = TestClient(app, headers={"Nano-Session": session})
    for load in LOADS[1:]:
        if load.tagged:
            continue
        seen.clear()
        client.request(load.method, load.path, json=load.body)
        print(f"\n{load.name}")
        for statement, parameters in list(seen):
            with engine.connect() as connection:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                what = "count" if "count(" in statement else "rows"
                print(f"  {what}: " + "; ".join(row[3] for row in plan))
    event.remove(engine, "before_cursor_execute", note)


def _be_quiet() -> None:
    """A line for every request would be most of what is measured, and hide the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def _serve(folder: str, port: socket.socket) -> None:
    app = FastAPI()

    @app.get("/bare")
    def bare() -> dict[str, bool]:
        return {"ok": True}

    api = create_app(Settings(data=Path(folder)), background=False)
    app.mount("/", api)
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run([port])


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """A server in a process of its own; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(str(folder), listener)
        )
        process.start()
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                _request(http.client.HTTPConnection("127.0.0.1", port), LOADS[0], "")
                break
            except OSError:
                assert time.monotonic() < deadline, "the server never answered"
                time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.join()


def _request(
    connection: http.client.HTTPConnection, load: Load, session: str, tag: str = ""
) -> tuple[int, bytes, str]:
    headers = {"Nano-Session": session, "Content-Type": "application/json"}
    if tag:
        headers["If-None-Match"] = tag
    body = json.dumps(load.body).encode() if load.body is not None else None
    connection.request(load.method, load.path, body=body, headers=headers)
    reply = connection.getresponse()
    return reply.status, reply.read(), reply.headers.get("ETag", "")


def measure(port: int, load: Load, session: str, seconds: float, clients: int) -> None:
    """Make a load for a while from several connections, and print what came of it."""
    times: list[float] = []
    first = _request(http.client.HTTPConnection("127.0.0.1", port), load, session)
    tag = first[2] if load.tagged else ""
    deadline = time.monotonic() + seconds

    def run() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.monotonic() < deadline:
            begun = time.monotonic()
            status, _body, _tag = _request(connection, load, session, tag)
            assert status == (304 if tag else 200), status
            times.append(time.monotonic() - begun)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.monotonic() - begun
    print(
        f"{load.name:32} {len(times) / spent:8.1f} requests/s   median"
        f" {statistics.median(times) * 1000:7.1f} ms   {len(first[1]):8} bytes"
    )


def main() -> None:
    """Make the guests, show the plans, measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--guests", type=int, default=10_000)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--clients", type=int, default=4)
    chosen = options.parse_args()
    _be_quiet()
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data=Path(folder)), background=False)
        cloud: Cloud = app.state.cloud
        session = furnish(cloud, chosen.guests)
        with cloud.database.engine.connect() as connection:
            connection.execute(text("ANALYZE"))
            connection.commit()
        show_plans(cloud, app, session)
        cloud.database.close()
        print(
            f"\n{chosen.guests} guests, {chosen.clients} connections, {chosen.seconds:.0f} s each"
        )
        with serving(Path(folder)) as port:
            for load in LOADS:
                measure(port, load, session, chosen.seconds, chosen.clients)


if __name__ == "__main__":
    main()
