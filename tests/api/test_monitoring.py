# SPDX-License-Identifier: Apache-2.0
"""Metrics, health, and an id for every request."""

from __future__ import annotations

import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from tests.api.test_status import a_cell, a_look

ROOT = "http://cloud.test"


def test_health_needs_no_session(anonymous: TestClient, cloud: Cloud) -> None:
    assert anonymous.get(f"{ROOT}/healthz").json() == {"status": "ok"}
    assert anonymous.get(f"{ROOT}/readyz").json() == {"status": "ok"}
    assert anonymous.get(f"{ROOT}/metrics").json()["error_code"] == 401
    cloud.database.close()
    cloud.database.engine.url  # noqa: B018
    cloud.settings.data.joinpath("nano.db").rename(cloud.settings.data / "away.db")
    cloud.settings.data.joinpath("nano.db").mkdir()
    assert anonymous.get(f"{ROOT}/readyz").status_code == 503


def test_metrics(client: TestClient, app: FastAPI) -> None:
    cloud: Cloud = app.state.cloud
    cell: Cell = a_cell("c1", "default")
    with cloud.database.transaction() as session:
        session.add(cell)
    cloud.live.observing(True)
    cloud.live.put("c1", a_look(a_cell("c1", "default"), 10))
    cloud.live.count_event("lifecycle")
    client.get("/compute_pools/")
    text = client.get(f"{ROOT}/metrics").text
    for line in (
        'nano_cell_alive{cell="c1"} 1.0',
        'nano_cell_used_cores{cell="c1"} 2.0',
        'nano_observer_lag_seconds{cell="c1"} 0.0',
        'nano_guests{state="lost"} 0.0',
        'nano_observer_events_total{kind="lifecycle"} 1.0',
        'nano_http_requests_total{method="GET",route="/compute_pools/",status="200"} 1.0',
    ):
        assert line in text


def test_every_request_has_an_id(client: TestClient) -> None:
    given = client.get("/compute_pools/", headers={"X-Request-Id": "from-a-proxy-7"})
    assert given.headers["X-Request-Id"] == "from-a-proxy-7"
    bad = client.get("/compute_pools/", headers={"X-Request-Id": "a b\tc" * 30})
    assert len(bad.headers["X-Request-Id"]) == 36
    assert structlog.contextvars.get_contextvars() == {}
