# SPDX-License-Identifier: Apache-2.0
"""A database with nothing but its tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nano_api.cloud import Cloud
from nano_api.main import create_cloud
from nano_api.settings import Settings


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    cloud = create_cloud(Settings(data=tmp_path / "data"))
    yield cloud
    cloud.database.close()
