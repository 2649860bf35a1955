# SPDX-License-Identifier: Apache-2.0
"""A database with nothing but its tables: SQLite, and PostgreSQL where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nano_api.cloud import Cloud
from nano_api.main import create_cloud
from nano_api.settings import Settings


@pytest.fixture(params=["sqlite", "postgresql"])
def cloud(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else ""
    cloud = create_cloud(Settings(data=tmp_path / "data", database_url=url))
    yield cloud
    cloud.database.close()
