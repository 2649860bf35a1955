# SPDX-License-Identifier: Apache-2.0
"""Fixtures that every part of the tests may use."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from nano_api.users import passwords

pytest_plugins = ["tests.lab.fixtures", "tests.postgresql"]


@pytest.fixture(scope="session", autouse=True)
def _cheap_hashes() -> None:
    """Passwords in this process cost nothing; ``test_users`` looks at the real hashes."""
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
