# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on real cells: one clear message, nothing left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import MIB, POOL, USER, Service, traces
from tests.lab.cell import Cell
from tests.nano_client import ApiError

pytestmark = pytest.mark.lab


@contextmanager
def only_cell(service: Service, name: str) -> Iterator[Cell]:
    """Every other cell of the pool is disabled for a while."""
    others = [cell.name for cell in service.lab.cells if cell.name != name]
    for other in others:
        service.client.call("PUT", f"/compute_pool_cells/{POOL}/{other}", {"enable": False})
    try:
        yield service.cell(name)
    finally:
        for other in others:
            service.client.call("PUT", f"/compute_pool_cells/{POOL}/{other}", {"enable": True})


def failure_of(service: Service, guest_id: str, seconds: float = 60) -> ApiError:
    with pytest.raises(ApiError) as failed:
        service.client.wait_for_guest(guest_id, seconds)
    with pytest.raises(ApiError, match=f"invalid guest '{guest_id}'"):
        service.client.get(f"/guests/{guest_id}")
    return failed.value


@pytest.mark.usefixtures("clean_cells")
def test_a_cell_that_does_not_answer(service: Service, image: str) -> None:
    with only_cell(service, "cell1") as cell:
        service.lab.cut(cell.name)
        try:
            # The observer has not noticed yet, so the guest is placed there.
            guest_id, _job = service.client.create_guest(service.order("cut", from_image=image))
            error = failure_of(service, guest_id)
        finally:
            service.lab.heal(cell.name)
    assert error.code == 503
    assert "cell 'cell1' does not answer" in error.message
    service.client.wait_for_live_cells({"cell1"}, seconds=60)


@pytest.mark.usefixtures("clean_cells")
def test_a_silent_cell_gets_no_new_guest(service: Service) -> None:
    with only_cell(service, "cell2") as cell:
        service.lab.kill(cell.name)
        try:
            deadline = time.monotonic() + 40
            while next(c for c in service.client.all_cells() if c["name"] == "cell2")["alive"]:
                assert time.monotonic() < deadline, "the observer never noticed"
                time.sleep(0.2)
            with pytest.raises(ApiError, match="no cell is alive and enabled"):
                service.client.create_guest(service.order("silent"))
        finally:
            service.lab.heal(cell.name)
    service.client.wait_for_live_cells({"cell2"}, seconds=60)


@pytest.mark.usefixtures("clean_cells")
def test_no_space_on_the_cell(service: Service, image: str) -> None:
    pool = "/var/lib/libvirt/images"
    with only_cell(service, "cell1") as cell:
        cell.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", pool])
        try:
            # The cell filled up after its last figures were taken: the guest is placed there.
            order = service.order("full", from_image=image, disks=[256 * MIB, 256 * MIB])
            guest_id, _job = service.client.create_guest(order)
            error = failure_of(service, guest_id)
        finally:
            cell.run(["umount", pool])
            cell.run(["virsh", "pool-refresh", "default"])
    assert error.code == 409
    assert "storage pool default has" in error.message
    assert "free some space" in error.message


@pytest.mark.usefixtures("clean_cells")
def test_an_image_that_vanished_from_the_store(service: Service) -> None:
    client = service.client
    lost = client.upload_image("lost", service.lab.image_qcow2, owner=USER, group=USER)
    stored = service.api.data / "images" / f"{lost}.qcow2"
    hidden = Path(f"{stored}.hidden")
    stored.rename(hidden)
    try:
        guest_id, _job = client.create_guest(service.order("lost", from_image=lost))
        error = failure_of(service, guest_id)
    finally:
        hidden.rename(stored)
    assert error.code != 0
    assert lost in error.message
    client.call("DELETE", f"/disk_images/{lost}")


@pytest.mark.usefixtures("clean_cells")
def test_a_domain_of_somebody_else_is_left_alone(service: Service) -> None:
    """A name that is taken on the cell by a domain that we do not know."""
    name = f"{USER}.taken"
    xml = (
        f"<domain type='qemu'><name>{name}</name><memory>65536</memory>"
        "<os><type>hvm</type></os></domain>"
    )
    with only_cell(service, "cell1") as cell:
        cell.run(["virsh", "define", "/dev/stdin"], input_text=xml)
        before = traces(cell)
        try:
            guest_id, _job = service.client.create_guest(service.order("taken"))
            error = failure_of(service, guest_id)
            assert name in error.message
            assert traces(cell) == before
        finally:
            cell.run(["virsh", "undefine", name])


@pytest.mark.usefixtures("clean_cells")
def test_templates_in_text_stay_text(service: Service, tmp_path: Path) -> None:
    """Image names and descriptions are free text; none of it is evaluated anywhere."""
    canary = tmp_path / "canary"
    text = "{{ lookup('pipe', 'touch " + str(canary) + "') }}"
    client = service.client
    with pytest.raises(ApiError):
        client.create_guest(service.order(text))
    body = {"name": "templated", "owner": USER, "group": USER, "description": text}
    image_id = str(client.call("POST", "/disk_images/", body).data["id"])
    assert client.get(f"/disk_images/{image_id}")["description"] == text
    client.call("DELETE", f"/disk_images/{image_id}")
    assert not canary.exists()
