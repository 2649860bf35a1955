# SPDX-License-Identifier: Apache-2.0
"""One guest's disks, password and medium through the API, and an image made of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import PASSWORD, USER, Service, domain_xml
from tests.nano_client import ApiError

pytestmark = pytest.mark.lab
MIB = 1 << 20


@pytest.fixture(scope="module")
def agent_image(service: Service) -> str:
    """The tiny guest with QEMU's agent, uploaded."""
    return service.client.upload_image(
        "agent", service.lab.image_agent_qcow2, owner=USER, group=USER
    )


@pytest.fixture
def guest(service: Service, agent_image: str) -> Iterator[str]:
    """A guest that runs, with a data disk."""
    order = service.order(
        "disks",
        disks=[256 * MIB, 64 * MIB],
        memory=128 * MIB,
        from_image=agent_image,
        modules=["qemu"],
        auto_start=True,
    )
    guest_id, _job = service.client.create_guest(order)
    service.client.wait_for_guest(guest_id, seconds=300)
    yield guest_id
    _stay(service)
    service.client.call("DELETE", f"/guests/{guest_id}", {"force": True})


def test_disks_passwords_images_and_media(service: Service, guest: str, agent_image: str) -> None:
    client = service.client
    shown = client.get(f"/guests/{guest}")
    cell = service.cell(shown["cell"])

    assert client.get(f"/guests/{guest}/auth") == {"user": "root"}
    _wait_for_agent(service, guest)
    told = client.call("PUT", f"/guests/{guest}/auth", {}).data
    assert told["user"] == "root"
    assert len(told["password"]) == 10
    assert client.get(f"/guests/{guest}/auth") == told
    assert told["password"] not in service.log()

    _stay(service)
    client.call("PUT", f"/guests/{guest}/disks/resize/1", {"size": 96 * MIB})
    assert client.get(f"/guests/{guest}")["disks"] == [256 * MIB, 96 * MIB]
    with pytest.raises(ApiError, match="is still running"):
        client.call("PUT", f"/guests/{guest}/disks/shrink/1", {})
    client.call("DELETE", f"/instances/{guest}", {"force": True})
    client.call("PUT", f"/guests/{guest}/disks/shrink/0", {})
    client.call("PUT", f"/guests/{guest}/disks/shrink/1", {})

    _stay(service)
    image = _captured(service, guest)
    try:
        _stay(service)
        client.call("PUT", f"/guests/{guest}/system/", {"from_image": image})
        client.wait_for_guest(guest, seconds=300)
        assert f'image="{image}"' in domain_xml(cell, shown["name"])
    finally:
        client.call("DELETE", f"/disk_images/{image}")

    _stay(service)
    iso = client.upload_image("boot", service.lab.image_iso, owner=USER, group=USER, kind="media")
    start = {"from_media": True, "source": iso}
    client.call("POST", f"/instances/{guest}", start)
    running = client.get(f"/instances/{guest}")
    assert (running["media_attached"], running["media_source"]) == (True, iso)
    assert iso not in domain_xml(cell, shown["name"])
    _stay(service)
    client.call("DELETE", f"/instances/{guest}", {"force": True})
    assert client.get(f"/instances/{guest}")["media_attached"] is False
    client.call("DELETE", f"/media_images/{iso}")
    client.call("DELETE", f"/disk_images/{agent_image}")


def _stay(service: Service) -> None:
    """Sessions live 180 s, and a busy machine needs longer for all of this."""
    service.client.login(USER, PASSWORD)


def _wait_for_agent(service: Service, guest: str) -> None:
    """A guest that boots answers in a while; until then the API says so."""
    for _ in range(20):
        _stay(service)
        try:
            service.client.call("PUT", f"/guests/{guest}/auth", {"user": "root"})
        except ApiError as error:
            if "no agent answers" not in error.message:
                raise
        else:
            return
    raise AssertionError("no agent answered")


def _captured(service: Service, guest: str) -> str:
    """An image of the guest, looked at while it is made and downloaded in parts."""
    client = service.client
    body = {"name": "captured", "owner": USER, "group": USER, "tags": ["linux"], "guest": guest}
    reply = client.call("POST", "/disk_images/", body)
    assert reply.status == 202
    image, seen = str(reply.data["id"]), [0]
    found = client.get(f"/disk_images/{image}")
    while not found["created"]:
        seen.append(found["progress"])
        time.sleep(1)
        _stay(service)
        found = client.get(f"/disk_images/{image}")
    assert reply.job is not None
    assert client.wait_for_job(reply.job)["state"] == "succeeded"  # Until then it has the guest.
    assert seen == sorted(seen)
    assert seen[-1] < 100
    assert (found["progress"], found["format"], found["virtual_size"]) == (100, "qcow2", 256 * MIB)
    path = f"/disk_images/{image}/file/"
    content, signature = client.download(path)
    assert hashlib.sha1(content, usedforsecurity=False).hexdigest() == found["sha1"] == signature
    assert len(content) == found["size"]
    assert client.download(path, "bytes=4-103") == (content[4:104], signature)
    return image
