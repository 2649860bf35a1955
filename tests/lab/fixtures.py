# SPDX-License-Identifier: Apache-2.0
"""pytest's way to a lab. A lab of its own, so that the one of `make up` is left alone."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.requirements import check_user

TEST_INSTANCE = "test"


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab of two cells. With NANO_LAB_KEEP=1 it stays up and the next run finds it there."""
    try:
        check_user()
    except LabError as error:
        pytest.skip(str(error))

    def progress(text: str) -> None:
        sys.stderr.write(f"lab: {text}\n")

    # Under pytest-xdist each worker has a session, and so a lab, of its own.
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    instance = f"{TEST_INSTANCE}-{worker}" if worker else TEST_INSTANCE
    keep = os.environ.get("NANO_LAB_KEEP") == "1"
    test_lab = Lab(instance, progress=progress)
    if not keep:
        test_lab.down()
    test_lab.up(2)
    yield test_lab
    if not keep:
        test_lab.down()
