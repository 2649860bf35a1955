# SPDX-License-Identifier: Apache-2.0
"""A headless browser with the portal in it, and a record of everything that went wrong there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Playwright,
    Request,
    Response,
)
from playwright.sync_api import Error as PlaywrightError

CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_WINDOW = {"width": 1440, "height": 1300}
_WAIT_MILLISECONDS = 60_000

#: What a script shows of a value that it was not given.
_NONSENSE = ("undefined", "NaN", "[object Object]", "Invalid Date", "Infinity")

#: What may go wrong, by a piece of its text, and why that is no fault of the API.
KNOWN = {
    "net::ERR_ABORTED": "a page was left while it still asked for something",
    "noVNC requires a secure context": "its viewer says so on every page without TLS, and works",
}


@dataclass
class Troubles:
    """Errors of the browser's console and network, and refusals of the API."""

    found: list[str] = field(default_factory=list)
    #: Refusals that the journey provokes: pieces of their messages.
    expected: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Remember it, unless it is known or expected."""
        if not any(known in text for known in [*KNOWN, *self.expected]):
            self.found.append(text)

    def watch(self, page: Page) -> None:
        """Listen to everything that a page says."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.note(f"script: {error}"))
        page.on("requestfailed", self._on_failure)
        page.on("response", self._on_response)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.note(f"console: {message.text} ({message.location.get('url', '')})")

    def _on_failure(self, request: Request) -> None:
        self.note(f"network: {request.method} {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.note(f"network: {response.status} for {response.request.method} {response.url}")
        elif "/api/v1/" in response.url and response.status in (200, 201, 202):
            self._on_answer(response)

    def _on_answer(self, response: Response) -> None:
        kind = response.headers.get("content-type", "")
        if not kind.startswith("application/json"):
            return
        try:
            envelope = json.loads(response.body())
        except PlaywrightError:
            return  # the page was left before the body came
        if envelope["error_code"] != 0:
            what = f"{response.request.method} {response.url}"
            self.note(f"refused: {what}: {envelope['error_code']} {envelope['message']}")


class Portal:
    """One page of the portal, in English, with the few things that people do in it."""

    def __init__(self, page: Page, address: str, pictures: Path, troubles: Troubles) -> None:
        self.page = page
        self.address = address
        self._pictures = pictures
        self.troubles = troubles
        page.set_default_timeout(_WAIT_MILLISECONDS)

    def go(self, path: str) -> None:
        """Open a screen by its address, as a bookmark does."""
        self.page.goto(self.address + path)

    def picture(self, name: str) -> None:
        """Keep what the screen shows, once it has its data; what was made of no data is noted."""
        self.page.wait_for_function("!document.querySelector('.MuiSkeleton-root')")
        self.page.wait_for_timeout(700)  # for what slides in
        file = self.picture_as_it_is(name)
        shown = "\n".join(self.page.locator("#root, .MuiDialog-root").all_text_contents())
        for nonsense in _NONSENSE:
            if nonsense in shown:
                self.troubles.note(f"screen: {nonsense!r} stands in {file.name}")

    def picture_as_it_is(self, name: str) -> Path:
        """Keep what the screen shows now."""
        number = len(list(self._pictures.glob("*.png"))) + 1
        file = self._pictures / f"{number:02d}-{name}.png"
        self.page.screenshot(path=file)
        return file

    def sees(self, text: str, seconds: float = 60) -> None:
        """Wait for a text."""
        self.page.get_by_text(text).first.wait_for(timeout=seconds * 1000)

    def press(self, text: str) -> None:
        """Press the button with this text, in the dialog if one is open."""
        button = self._front().locator("button, a[role=button]").filter(has_text=_whole(text))
        button.first.click()

    def press_icon(self, title: str, row: str = "") -> None:
        """Press a button that has only a tip, in the row that has a text."""
        where = self.page.locator("tr").filter(has_text=row).first if row else self.page
        # The tip moves into a bubble while the mouse is over the button: press without a mouse.
        where.locator(f'[title="{title}"]').first.dispatch_event("click")

    def follow_icon(self, title: str, row: str) -> None:
        """Follow a link that has only a tip."""
        link = self.page.locator("tr").filter(has_text=row).first.locator(f'a[title="{title}"]')
        self.go(str(link.first.get_attribute("href")))

    def fill(self, label: str, text: str) -> None:
        """Write into the field with this label."""
        self._field(label).locator("input, textarea").first.fill(text)

    def attach(self, label: str, file: Path) -> None:
        """Choose a file."""
        self._field(label).locator("input").first.set_input_files(file)

    def choose(self, label: str, option: str) -> None:
        """Choose from a list."""
        self._field(label).locator("[role=button]").first.click()
        listbox = self.page.locator("[role=listbox]")
        listbox.locator("[role=option]").filter(has_text=option).first.click()
        listbox.wait_for(state="detached")

    def tick_switch(self, label: str) -> None:
        """Turn a switch on."""
        self._field(label).locator("input[type=checkbox]").first.check(force=True)

    def press_when_there(self, text: str, seconds: float) -> None:
        """Press a button that appears when something has ended."""
        button = self._front().locator("button").filter(has_text=_whole(text)).first
        button.wait_for(timeout=seconds * 1000)
        button.click()
        self.dialog_closes()

    def tick(self, label: str) -> None:
        """Tick a box."""
        box = self._front().locator("label").filter(has_text=_whole(label))
        box.first.locator("input").check(force=True)

    def slide_to_end(self) -> None:
        """Move the dialog's slider to its highest value."""
        self._front().locator("[role=slider]").first.press("End")

    def row_shows(self, row: str, text: str) -> None:
        """Wait until the row that has one text has another too."""
        found = self.page.locator("tr").filter(has_text=row).filter(has_text=text)
        found.first.wait_for()

    def progress_is_seen(self, picture: str) -> None:
        """Wait for the bar in the dialog, keep what it shows at first, and see it move or end."""
        bar = self.page.locator("[role=dialog] .MuiLinearProgress-root")
        self._until(lambda: bar.count() > 0, "no progress bar appears", 60)
        self.sees(".00%")
        self.picture_as_it_is(picture)
        moved = self.page.get_by_text(re.compile(r"^[1-9][0-9]?\.00%$"))
        self._until(lambda: moved.count() + (bar.count() == 0) > 0, "the bar stands still", 300)
        self.picture_as_it_is(f"{picture}-goes-on")

    def forget_session(self) -> None:
        """Be nobody, as after the session's end."""
        self.page.evaluate("localStorage.removeItem('nano-session-data')")

    def dialog_closes(self, seconds: float = 120) -> None:
        """Wait until no dialog is open; what it complains of instead is raised."""
        dialog = self.page.locator("[role=dialog]")
        self._until(lambda: dialog.count() == 0, "a dialog does not close", seconds)

    def _until(self, done: Callable[[], bool], problem: str, seconds: float) -> None:
        complaint = self.page.locator("[role=dialog] .MuiSnackbarContent-message")
        for _ in range(int(seconds * 5)):
            if done():
                return
            said = complaint.all_inner_texts()
            self.page.wait_for_timeout(1000 if said else 200)
            # A dialog that closes may show something for the blink of an eye.
            if said and not done():
                raise AssertionError(f"the portal says: {said[0]}")
        raise AssertionError(problem)

    def _front(self) -> Locator:
        dialog = self.page.locator("[role=dialog]")
        return dialog.last if dialog.count() else self.page.locator("body")

    def _field(self, label: str) -> Locator:
        # Labels are not tied to their fields: the nearest box that has both is the field.
        named = (
            self._front()
            .locator("label")
            .filter(has_text=re.compile(rf"^{re.escape(label)}\W*\*?$"))
        )
        return named.first.locator("xpath=..")


def _whole(text: str) -> re.Pattern[str]:
    return re.compile(rf"^\s*{re.escape(text)}\s*$")


@contextmanager
def browser(
    playwright: Playwright,
    profile: Path,
    troubles: Troubles,
    *flags: str,
    program: Path = CHROMIUM,
) -> Iterator[BrowserContext]:
    """Chromium with a profile that nobody has used, and more of its flags.

    ``program`` may be another one that starts it.
    """
    context = playwright.chromium.launch_persistent_context(
        str(profile),
        executable_path=program,
        headless=True,
        args=[*_FLAGS, *flags],
        viewport=_WINDOW,  # type: ignore[arg-type]
    )
    language = json.dumps({"lang": "en"})
    context.add_init_script(
        f"if (location.origin != 'null') localStorage.setItem('nano-language-data', '{language}')"
    )
    context.on("page", troubles.watch)
    try:
        yield context
    finally:
        context.close()
