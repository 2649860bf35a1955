# SPDX-License-Identifier: Apache-2.0
"""A real noVNC client in a real browser: it shows a booted guest. `make console-check` runs it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import PASSWORD, Service
from tests.e2e.test_console import another_user, open_channel, wait_for_serial
from tests.lab.identity import CHECKOUT

pytest.importorskip("playwright", reason="`make console-check` installs the browser")

from playwright.sync_api import Page, Route, sync_playwright  # isort: skip
from tests.portal.browser import Troubles, browser  # isort: skip
from tests.portal.display import wait_for_text_on  # isort: skip

pytestmark = [pytest.mark.lab, pytest.mark.heavy]

NOVNC = Path("/usr/share/novnc")
PICTURES = CHECKOUT / "var" / "console-check"
#: The pages come from no address, and may talk to this machine's all the same.
_ANY_ADDRESS = "--disable-features=LocalNetworkAccessChecks"
#: What a page must do to show a display; `said` is what noVNC told, in order.
VIEWER = """<!DOCTYPE html>
<html><body><div id="screen"></div><script type="module">
import RFB from './core/rfb.js';
window.said = [];
window.show = (url, password) => {
  const viewer = new RFB(document.getElementById('screen'), url,
                         {credentials: {password}, wsProtocols: ['binary']});
  for (const event of ['connect', 'disconnect', 'securityfailure', 'credentialsrequired'])
    viewer.addEventListener(event, () => window.said.push(event));
  window.viewer = viewer;
};
</script></body></html>"""


class Viewer:
    """Pages with noVNC in them, of whatever origin; nothing listens there."""

    def __init__(self, page: Page, service: Service) -> None:
        self.page = page
        self._address = f"{service.lab.host_address}:{service.port}"
        page.route("**/viewer/**", self._serve)

    def _serve(self, route: Route) -> None:
        name = route.request.url.partition("/viewer/")[2]
        if name:
            route.fulfill(path=NOVNC / name)
        else:
            route.fulfill(body=VIEWER, content_type="text/html")

    def load(self, origin: str = "") -> None:
        """A new page, by default of the API's own origin. A channel does not wait for it long."""
        self.page.goto(f"{origin or f'http://{self._address}'}/viewer/")
        self.page.wait_for_function("window.show !== undefined")

    def show(self, channel: dict[str, str]) -> None:
        """Connect it to a channel."""
        url = f"ws://{self._address}/api/v1/monitor_channels/{channel['id']}"
        self.page.evaluate("([url, password]) => show(url, password)", [url, channel["password"]])

    def hears(self, event: str) -> None:
        """Wait until noVNC has told of an event."""
        self.page.wait_for_function("event => said.includes(event)", arg=event, timeout=60_000)

    def heard(self) -> list[str]:
        """All that it has told."""
        return list(self.page.evaluate("said"))


@pytest.fixture
def viewer(service: Service, tmp_path: Path) -> Iterator[Viewer]:
    """A browser that nobody has used."""
    with (
        sync_playwright() as playwright,
        browser(playwright, tmp_path / "profile", Troubles(), _ANY_ADDRESS) as context,
    ):
        yield Viewer(context.new_page(), service)


def test_a_guest_in_a_browser(service: Service, image: str, viewer: Viewer) -> None:
    client = service.client
    order = service.order("novnc", from_image=image, memory=128 << 20, auto_start=True)
    guest_id, _job = client.create_guest(order)
    client.wait_for_guest(guest_id, seconds=400)
    wait_for_serial(client, guest_id, "guest-ready")
    shutil.rmtree(PICTURES, ignore_errors=True)

    viewer.load()
    channel = open_channel(client, guest_id)
    viewer.show(channel)
    viewer.hears("connect")
    wait_for_text_on(viewer.page)
    viewer.page.locator("canvas").screenshot(path=PICTURES / "booted.png")
    assert viewer.heard() == ["connect"]

    viewer.load()
    viewer.show(channel)  # a second time
    viewer.hears("disconnect")
    viewer.load("http://evil.example")
    viewer.show(open_channel(client, guest_id))
    viewer.hears("disconnect")
    assert viewer.heard() == ["disconnect"]

    with another_user(service, "watcher") as theirs:
        viewer.load()
        viewer.show(open_channel(theirs, guest_id))
        viewer.hears("connect")
        theirs.call("PUT", "/users/watcher/password/", {"old": PASSWORD, "new": PASSWORD + "x"})
        viewer.hears("disconnect")
