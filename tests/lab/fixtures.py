# SPDX-License-Identifier: Apache-2.0
"""pytest's way to a lab. A lab of its own, so that the one of `make up` is left alone."""

import os
import sys
from collections.abc import Generator, Iterator

import pytest

from tests.lab.cell import Cell
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


_LOG_CHARACTERS = 6_000
_LAST_WORDS = """
for log in $(ls -t /var/log/libvirt/qemu/*.log | head -n 4); do
    echo "--- $log"; tail -n 25 "$log"
done
echo "--- libvirtd"; journalctl --no-pager --output=short-precise -u libvirtd -n 30
"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failed test go the last words of its cells: they are gone when the lab is."""
    report = yield
    found = getattr(item, "funcargs", {}).get("lab")
    if report.failed and report.when != "teardown" and isinstance(found, Lab):
        for cell in found.cells:
            report.sections.append((f"last words of {cell.name}", _last_words(cell)))
    return report


def _last_words(cell: Cell) -> str:
    try:
        said = cell.run(["sh", "-c", _LAST_WORDS], check=False, timeout_seconds=20)
    except LabError as error:
        return str(error)
    return (said.stdout + said.stderr)[-_LOG_CHARACTERS:]
