# SPDX-License-Identifier: Apache-2.0
"""`pytest tests/golden --regenerate-golden` writes the files instead of comparing with them."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate-golden", action="store_true", help="write the golden files anew")
