# SPDX-License-Identifier: GPL-3.0-or-later
"""Media in the drive of a real guest, running and stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import (
    Site,
    ask,
    basis,
    console,
    wait_for,
)

pytestmark = pytest.mark.lab


@pytest.fixture
def media(site: Site, web: tuple[str, Path]) -> Iterator[list[str]]:
    url, folder = web
    names = ["first-medium", "second-medium"]
    for name in names:
        (folder / f"{name}.iso").write_bytes(site.lab.image_iso.read_bytes())
        site.run("image", id=name, url=f"{url}/{name}.iso", format="iso")
    yield names
    for name in names:
        removed = site.run("image", id=name, state="absent")
        assert removed.get("changed"), removed


def test_in_and_out(site: Site, image: dict[str, Any], media: list[str], guest_id: str) -> None:
    assert image["ready"]
    site.run("guest", **basis(guest_id))
    site.check_then_real_then_again("guest_media", id=guest_id, image=media[0])
    in_use = site.run("image", id=media[0], state="absent")
    assert in_use["error"]["code"] == "conflict"
    site.check_then_real_then_again("guest_media", id=guest_id, state="ejected")

    site.run("guest_power", id=guest_id, state="running")
    wait_for("boot", lambda: "guest-ready" in console(site, guest_id))
    assert ask(site, guest_id, "cat /sys/block/sr0/size") in ("0", "2097151")
    inserted = site.check_then_real_then_again("guest_media", id=guest_id, image=media[0])
    assert inserted["medium"] == media[0]
    assert media[0] in site.shell(f"virsh domblklist {guest_id}")
    read = "dd if=/dev/sr0 bs=1 skip=32769 count=5 2> /dev/null"
    wait_for("the medium", lambda: ask(site, guest_id, read) == "CD001", 30)
    refused = site.run("guest_media", id=guest_id, image=media[1])
    assert refused["error"]["code"] == "conflict"
    assert f"{media[0]} is in the drive" in refused["msg"]
    site.check_then_real_then_again("guest_media", id=guest_id, image=media[1], replace=True)
    for wrong, code in (("none-such", "not_found"), ("tiny", "invalid_input")):
        answer = site.run("guest_media", id=guest_id, image=wrong, replace=True)
        assert answer["error"]["code"] == code
    site.check_then_real_then_again("guest_media", id=guest_id, state="ejected")
