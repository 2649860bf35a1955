# SPDX-License-Identifier: Apache-2.0
"""``POST /search/guests/``: pages made by the database, of what the caller may see."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, select, text

from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from tests.api.test_visibility import a_guest


@pytest.fixture
def guests(cloud: Cloud) -> None:
    """Fifty guests of the caller and one of somebody else."""
    with cloud.database.transaction() as session:
        session.add(Cell(name="c1", address="192.0.2.1", pool="default", alive=True))
        session.flush()
        for number in range(50):
            row = a_guest(number, "admin", "admin")
            row.id, row.name = f"g{number}", f"admin.web_{number:02}"
            row.mac = f"00:16:3e:00:{number // 100:02}:{number % 100:02}"
            row.allocated_address = f"198.51.100.{number}/24"
            session.add(row)
        session.add(a_guest(99, "other", "elsewhere"))


def search(client: TestClient, **body: Any) -> Any:
    return client.post("/search/guests/", json=body).json()


@pytest.mark.usefixtures("guests")
def test_pages(client: TestClient) -> None:
    first = search(client)["data"]
    assert (first["total"], first["limit"], first["offset"]) == (50, 20, 0)
    assert [guest["name"] for guest in first["result"]] == [f"admin.web_{n:02}" for n in range(20)]
    last = search(client, offset=40, limit=20)["data"]
    assert len(last["result"]) == 10
    assert last["result"][-1]["internal"]["allocated_address"] == "198.51.100.49/24"
    assert search(client, offset=50)["message"] == "unexpected offset 50: there are 50 guests"
    nothing = search(client, offset=20, keyword="none-such")["data"]
    assert (nothing["result"], nothing["total"], nothing["offset"]) == ([], 0, 20)


@pytest.mark.usefixtures("guests")
@pytest.mark.parametrize(
    ("body", "total"),
    [
        ({"keyword": "WEB_4"}, 10),
        ({"keyword": "100.7/"}, 1),
        ({"keyword": "192.0.2"}, 50),
        ({"keyword": "_"}, 50),
        ({"keyword": "%"}, 0),
        ({"keyword": "g99"}, 0),
        ({"pool": "default"}, 50),
        ({"cell": "c1"}, 50),
        ({"cell": "c2"}, 0),
        ({"pool": None, "cell": None, "keyword": None}, 50),
    ],
)
def test_what_is_found(client: TestClient, body: dict[str, Any], total: int) -> None:
    assert search(client, **body)["data"]["total"] == total


@pytest.mark.usefixtures("guests")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"limit": -1}, "limit"),
        ({"limit": 100000}, "limit"),
        ({"limit": "20"}, "limit"),
        ({"offset": -1}, "offset"),
        ({"keyword": "two words"}, "keyword"),
        ({"keyword": "x" * 200}, "keyword"),
        ({"pool": "none-such"}, "none-such"),
    ],
)
def test_bad_input_names_the_field(client: TestClient, body: dict[str, Any], field: str) -> None:
    answer = search(client, **body)
    assert answer["error_code"] in (400, 404)
    assert field in answer["message"]


@pytest.mark.usefixtures("guests")
def test_a_page_costs_few_statements(client: TestClient, cloud: Cloud) -> None:
    statements: list[str] = []
    engine = cloud.database.engine
    event.listen(
        engine, "before_cursor_execute", lambda *details: statements.append(str(details[2]))
    )
    search(client, keyword="web")
    about_guests = [each for each in statements if "FROM guests" in each]
    assert len(about_guests) == 2, about_guests  # the number of all, and the page
    with engine.connect() as connection:
        plan = connection.execute(
            text("EXPLAIN QUERY PLAN SELECT * FROM guests WHERE owner = 'admin' ORDER BY name")
        ).all()
    assert "ix_guests_owner" in str(plan)


@pytest.mark.usefixtures("guests")
def test_a_medium_in_the_drive_is_told_by_lists(client: TestClient, cloud: Cloud) -> None:
    with cloud.database.transaction() as session:
        row = session.scalars(select(Guest).order_by(Guest.name)).first()
        assert row is not None
        row.media_id = "some-medium"
        name = row.name
    found = {guest["name"]: guest for guest in search(client, limit=50)["data"]["result"]}
    assert found.pop(name)["media_attached"] is True
    assert not any("media_attached" in guest for guest in found.values())
