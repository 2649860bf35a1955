# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests on real cells."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.tests.integration.site import REPOSITORY, Site
from tests.lab.lab import Lab
from tests.lab.shared_storage import SharedStorage, provide_shared_storage


@pytest.fixture(scope="session")
def onboarded_lab(lab: Lab) -> Lab:
    """The lab's cells, onboarded."""
    playbook = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [playbook, "-i", lab.inventory_path, "playbooks/cell_onboard.yml"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    return lab


@pytest.fixture(scope="module")
def site(onboarded_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The first cell; ``other_site`` is the second."""
    return Site(onboarded_lab, onboarded_lab.cells[0], tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def other_site(onboarded_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(onboarded_lab, onboarded_lab.cells[1], tmp_path_factory.mktemp("results"))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def web(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A folder and its URL, reachable from the cells only."""
    folder = tmp_path_factory.mktemp("web")
    handler = functools.partial(_Quiet, directory=str(folder))
    server = ThreadingHTTPServer((site.lab.host_address, 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://{site.lab.host_address}:{server.server_port}", folder
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def image(site: Site, web: tuple[str, Path]) -> Iterator[dict[str, Any]]:
    url, folder = web
    (folder / "tiny.qcow2").write_bytes(site.lab.image_qcow2.read_bytes())
    site.run("image", id="tiny", state="absent")  # A lab that was kept may have it.
    made = site.check_then_real_then_again("image", id="tiny", url=f"{url}/tiny.qcow2")
    yield made["image"]
    assert site.run("image", id="tiny", state="absent").get("changed")


@pytest.fixture(scope="module")
def cloud_image(site: Site, web: tuple[str, Path]) -> Iterator[str]:
    """The id of a real Debian cloud image on the first cell. It takes minutes to start."""
    url, folder = web
    (folder / "debian.qcow2").symlink_to(site.lab.cloud_image_qcow2)
    site.run("image", id="debian", state="absent")
    made = site.run("image", id="debian", url=f"{url}/debian.qcow2", wait_seconds=240)
    assert made["image"]["ready"], made
    yield "debian"
    assert site.run("image", id="debian", state="absent").get("changed")


@pytest.fixture
def guest_id(site: Site) -> Iterator[str]:
    """An id; whatever the test made of it is removed, and nothing of it is left."""
    new = str(uuid.uuid4())
    yield new
    site.run("guest", id=new, state="absent", force=True)
    assert site.shell(f"find /var/lib/libvirt /var/log/libvirt -name '*{new}*'") == ""
    assert site.shell(f"virsh domuuid {new} 2>/dev/null || true") == ""


@pytest.fixture(scope="session")
def shared_storage(onboarded_lab: Lab) -> SharedStorage:
    """A volume that both cells can mount, with nothing of other tests in it."""
    return provide_shared_storage(onboarded_lab, "modules")
