# SPDX-License-Identifier: Apache-2.0
"""`make up` and `make down`, in an instance of their own: a running guest, then nothing."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time

import pytest

from tests.e2e.conftest import free_port
from tests.lab.identity import CHECKOUT, Identity
from tests.lab.leftovers import difference, marks_of_other_labs, snapshot
from tests.nano_client import NanoClient

pytestmark = pytest.mark.lab

INSTANCE = "makeup"
FOLDER = CHECKOUT / "var" / f"first-light-{INSTANCE}"


def first_light(command: str, port: int) -> tuple[str, float]:
    begun = time.monotonic()
    program = [sys.executable, "-m", "tests.lab.first_light", command]
    done = subprocess.run(
        [*program, "--instance", INSTANCE, "--port", str(port)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, time.monotonic() - begun


@pytest.fixture(scope="module")
def port() -> int:
    return free_port("127.0.0.1")


@pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")
def test_up_up_down(port: int) -> None:
    first_light("down", port)
    own = Identity(CHECKOUT, INSTANCE).lab_id
    others = marks_of_other_labs(own)
    before = snapshot()
    try:
        output, first_seconds = first_light("up", port)
        _check_summary(output)
        again, second_seconds = first_light("up", port)
        _check_summary(again)
    finally:
        first_light("down", port)
    # Tests beside this one may have begun a lab meanwhile.
    others += marks_of_other_labs(own)
    assert difference(before, snapshot(), ignore=others) == []
    assert not list(FOLDER.glob("*"))
    print(f"up: {first_seconds:.0f} s, again: {second_seconds:.0f} s")  # noqa: T201


def _check_summary(output: str) -> None:
    environment = dict(
        line.split("=", 1) for line in (FOLDER / "admin.env").read_text().splitlines()
    )
    assert stat.S_IMODE((FOLDER / "admin.env").stat().st_mode) == 0o600
    for text in (environment["NANO_URL"], environment["NANO_PASSWORD"], "hello.png", "make down"):
        assert text in output
    client = NanoClient(environment["NANO_URL"])
    try:
        client.login(environment["NANO_USER"], environment["NANO_PASSWORD"])
        guests = client.get("/guest_search/?pool=lab")
    finally:
        client.close()
    assert [(guest["name"], guest["running"]) for guest in guests] == [("admin.hello", True)]
    assert guests[0]["cell"] in output
    from PIL import Image

    with Image.open(FOLDER / "hello.png") as picture:
        assert picture.width >= 640
        assert len(picture.getcolors(1 << 20) or []) > 1, "the guest's display is blank"
