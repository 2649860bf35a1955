# SPDX-License-Identifier: Apache-2.0
"""A medium through the API into a running guest, and out again."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import USER, Service
from tests.nano_client import ApiError

pytestmark = pytest.mark.lab


@pytest.mark.usefixtures("clean_cells")
def test_a_medium_goes_in_and_out(service: Service, image: str) -> None:
    client = service.client
    iso = service.lab.image_iso
    media_id = client.upload_image("tiny-iso", iso, owner=USER, group=USER, kind="media")
    guest_id, _job = client.create_guest(service.order("reader", from_image=image))
    guest = client.wait_for_guest(guest_id)
    path = f"/instances/{guest_id}/media"
    with pytest.raises(ApiError, match="is stopped: start it first"):
        client.call("POST", path, {"source": media_id})
    client.call("POST", f"/instances/{guest_id}")
    with pytest.raises(ApiError, match="invalid image 'none'"):
        client.call("POST", path, {"source": "none"})
    client.call("POST", path, {"source": media_id})
    found = client.get(f"/instances/{guest_id}")
    assert (found["media_attached"], found["media_source"]) == (True, media_id)
    assert client.get(f"/guests/{guest_id}")["media_attached"] is True
    blocks = ["virsh", "domblklist", guest_id]
    cell = service.cell(guest["cell"])
    assert f"{media_id}.iso" in cell.run(blocks).stdout
    with pytest.raises(ApiError, match="already attached"):
        client.call("POST", path, {"source": media_id})
    client.call("DELETE", path)
    assert f"{media_id}.iso" not in cell.run(blocks).stdout
    assert client.get(f"/instances/{guest_id}")["media_attached"] is False
    client.call("DELETE", f"/instances/{guest_id}", {"force": True})
    client.call("DELETE", f"/guests/{guest_id}")
    client.call("DELETE", f"/media_images/{media_id}")
