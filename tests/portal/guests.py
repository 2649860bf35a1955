# SPDX-License-Identifier: Apache-2.0
"""The life of guests in the portal, from their creation to their end."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from tests.lab.lab import Lab
from tests.portal.accounts import USER
from tests.portal.browser import Portal
from tests.portal.display import lit_pixels, wait_for_text_on
from tests.portal.resources import IMAGE, MEDIA, NETWORK, POOL

GUEST, BARE_GUEST = "web1", "bare1"
FULL_NAME, BARE_NAME = f"{USER}.{GUEST}", f"{USER}.{BARE_GUEST}"


class Guests:
    """One guest with all that can be done to it, one without a disk image, and many."""

    def __init__(self, portal: Portal, lab: Lab) -> None:
        self.portal = portal
        self.lab = lab

    def create(self) -> None:
        """From the image, with its progress seen."""
        portal = self.portal
        self._order(GUEST)
        portal.choose("Source Image", IMAGE)
        portal.tick("QEMU-Guest-Agent")
        portal.picture("guest-create")
        portal.press("Confirm")
        portal.progress_is_seen("guest-progress")
        portal.dialog_closes(300)
        self.row()
        portal.picture("guests")

    def _order(self, name: str) -> None:
        portal = self.portal
        portal.go(f"/admin/instances/range/?pool={POOL}")
        portal.press("Create New Instance")
        portal.fill("Instance Name", name)
        portal.choose("Resource Pool", POOL)
        portal.choose("System Version", "CentOS 7")

    def power_and_details(self) -> None:
        """Started; what its pages say then."""
        portal = self.portal
        self._power("Start Instance", "started", "Running")
        portal.picture("guest-running")
        guest_id = self.guest_id()
        portal.go(f"/admin/instances/details/{guest_id}")
        portal.sees("Allocated Address")
        portal.sees(guest_id)
        portal.picture("guest-details")
        portal.go(f"/admin/instances/status/{guest_id}")
        portal.page.wait_for_timeout(6000)  # three rounds of figures
        portal.picture("guest-status")

    def address(self) -> None:
        """What its agent says that it has; what its pool gave it."""
        portal = self.portal
        guest_id = self.guest_id()
        # Which one of two is left to chance where, as here, another DHCP server answers as well.
        expect(self.row().locator("td").nth(2)).not_to_be_empty(timeout=180_000)
        portal.picture("guest-address")
        pool = f"/admin/address_pools/{NETWORK}"
        for path, name in ((pool, "pool"), (f"{pool}/internal/ranges/192.168.77.10", "range")):
            portal.go(path)
            portal.sees(guest_id)
            portal.picture(f"{name}-allocated")

    def _power(self, button: str, done: str, shown: str, name: str = FULL_NAME) -> None:
        """Press a power button, until the portal says that it is done and the row shows it.

        The row alone may show it sooner: then the guest is still busy, and refuses what comes next.
        """
        portal = self.portal
        guest_id = self.guest_id(name)
        portal.press_icon(button, name)
        portal.sees(f"instance {guest_id} {done}", 180)
        row = portal.page.locator("tr").filter(has_text=name).first
        row.locator(f'[title="{shown}"]').wait_for()

    def guest_id(self, name: str = FULL_NAME) -> str:
        """As the link to its details has it."""
        link = self.row(name).locator('a[href*="/details/"]').first
        return str(link.get_attribute("href")).rsplit("/", 1)[1]

    def row(self, name: str = FULL_NAME) -> Locator:
        """Of a guest, in the list of its pool."""
        self.portal.go(f"/admin/instances/range/?pool={POOL}")
        row = self.portal.page.locator("tr").filter(has_text=name).first
        row.wait_for()
        return row

    def console(self) -> None:
        """The portal's own noVNC shows what the guest shows, and types into it."""
        portal = self.portal
        portal.go(f"/monitor/{self.guest_id()}")
        wait_for_text_on(portal.page)
        portal.picture("console")
        portal.page.locator("canvas").first.hover()
        before = lit_pixels(portal.page)
        for _ in range(3):
            portal.page.keyboard.type("uname -a\n", delay=80)
        portal.page.wait_for_timeout(3000)
        portal.picture("console-typed")
        assert lit_pixels(portal.page) > before, "nothing appeared on the display"

    def media(self) -> None:
        """Into the guest's drive and out again."""
        portal = self.portal
        row = self.row()
        portal.press_icon("Insert Media", FULL_NAME)
        portal.choose("Media Name", MEDIA)
        portal.picture("media-insert")
        portal.press("Confirm")
        portal.dialog_closes()
        row.locator('[title="Eject Media"]').wait_for()
        portal.picture("media-inserted")
        portal.press_icon("Eject Media", FULL_NAME)
        portal.sees("media ejected from instance")
        row.locator('[title="Insert Media"]').wait_for()

    def stop(self) -> None:
        """By the power button, which the guest hears."""
        self._power("Stop Instance", "stopped", "Stopped")
        self.portal.picture("guest-stopped")

    def security(self) -> None:
        """A rule of the guest's own."""
        portal = self.portal
        portal.go(f"/admin/instances/policies/{self.guest_id()}")
        portal.press("Add New Rule")
        portal.tick("Accept")
        portal.choose("Protocol", "TCP")
        portal.fill("Target Port", "22")
        portal.picture("rule-create")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees("22")
        portal.picture("rules")

    def snapshots(self) -> None:
        """Two, one on the other; back to the first; both deleted."""
        portal = self.portal
        screen = f"/admin/instances/snapshots/{self.guest_id()}"
        portal.go(screen)
        for name in ("clean", "changed"):
            portal.press("Create New Snapshot")
            portal.fill("Name", name)
            portal.fill("Description", f"{name} disks")
            portal.press("Confirm")
            portal.dialog_closes()
            self._snapshot(name).wait_for()
        portal.picture("snapshots")
        self._snapshot("clean").click()
        portal.sees("Offline Snapshot")
        portal.press("Revert")
        portal.picture("snapshot-revert")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees("restored to snapshot clean")
        portal.go(screen)
        self._snapshot("clean( Current )").wait_for()
        portal.picture("snapshot-reverted")
        for name in ("changed", "clean"):
            self._snapshot(name).click()
            portal.sees(f"{name} disks")
            portal.press("Delete")
            portal.press("Confirm")
            portal.dialog_closes()
            self._snapshot(name).wait_for(state="detached")
        portal.sees("No snapshots created")

    def _snapshot(self, label: str) -> Locator:
        return self.portal.page.locator(".MuiTreeItem-label").filter(has_text=label)

    def migrate(self) -> None:
        """To the other cell, whose address its row shows then."""
        portal = self.portal
        row = self.row()
        first, second = self.lab.cells
        target = second if first.address in row.inner_text() else first
        portal.press_icon("Migrate Instance", FULL_NAME)
        portal.choose("Target Cell", target.name)
        portal.picture("guest-migrate")
        portal.press("Confirm")
        portal.dialog_closes()
        row.filter(has_text=target.address).wait_for(timeout=180_000)
        portal.picture("guest-migrated")

    def image_of_guest(self) -> None:
        """Built from its disk, and the guest made anew from it, each with its progress."""
        portal = self.portal
        self.row()
        portal.press_icon("Create Disk Image", FULL_NAME)
        portal.fill("Image Name", "captured")
        portal.fill("Description", "of a guest")
        portal.tick("Linux")
        portal.picture("image-build")
        portal.press("Build")
        portal.progress_is_seen("image-building")
        portal.dialog_closes(300)
        portal.press_icon("Reset System", FULL_NAME)
        portal.choose("Target System", "captured")
        portal.picture("guest-reset")
        portal.press("Confirm")
        portal.progress_is_seen("guest-resetting")
        portal.dialog_closes(300)

    def modify(self) -> None:
        """What can be changed on the page of its details; read back there.

        Not the bandwidth: that dialog asks for the guest again after each reply, without end, and
        each reply undoes what was chosen.
        """
        portal = self.portal
        portal.go(f"/admin/instances/details/{self.guest_id()}")
        changes = (
            ("Cores", "Modify", "New Cores", "2", "2"),
            ("Memory", "Modify", "New Memory Size (MB)", "512", "512 MB"),
            ("System Disk", "Extend Disk Size", "New Disk Size (GB)", "6", "6 GB"),
        )
        for row, button, label, value, shown in changes:
            portal.press_icon(button, row)
            portal.fill(label, value)
            portal.press("Confirm")
            portal.dialog_closes()
            portal.row_shows(row, shown)
        portal.press_icon("Modify", "CPU Priority")
        portal.tick("High")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.row_shows("CPU Priority", "High")
        portal.press_icon("Modify", "Disk IOPS")
        portal.slide_to_end()
        portal.picture("guest-modify")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.row_shows("Disk IOPS", "2000")
        portal.picture("guest-modified")

    def bare_guest(self) -> None:
        """Without an image: started from a medium, renamed, deleted."""
        portal = self.portal
        self._order(BARE_GUEST)
        portal.press("Confirm")
        portal.dialog_closes(300)
        row = self.row(BARE_NAME)
        portal.press_icon("Start Instance With Media", BARE_NAME)
        portal.choose("Media Name", MEDIA)
        portal.picture("media-start")
        portal.press("Confirm")
        portal.dialog_closes()
        row.locator('[title="Media Attached"]').wait_for()
        portal.picture("media-started")
        guest_id = self.guest_id(BARE_NAME)
        portal.go(f"/monitor/{guest_id}")
        wait_for_text_on(portal.page)
        portal.picture("media-console")
        self._power("Force Stop Instance", "force stopped", "Stopped", BARE_NAME)
        portal.go(f"/admin/instances/details/{guest_id}")
        portal.press_icon("Modify", BARE_NAME)
        portal.fill("New Name", "bare2")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.row_shows("Name", f"{USER}.bare2")
        self._delete(f"{USER}.bare2")

    def batch(self) -> None:
        """Guests made, stopped and deleted at once."""
        portal = self.portal
        portal.go(f"/admin/instances/range/?pool={POOL}")
        portal.press("Batch Create")
        portal.fill("Prefix", "many")
        portal.page.locator("[role=dialog] [role=slider]").first.press("ArrowRight")
        portal.choose("Resource Pool", POOL)
        portal.choose("Source Image", IMAGE)
        portal.choose("System Version", "CentOS 7")
        portal.tick_switch("Automatic Startup")
        portal.picture("batch-create")
        portal.press("Confirm")
        portal.sees("Creating")
        portal.picture("batch-creating")
        portal.press_when_there("Finish", 300)
        portal.picture("batch-created")
        portal.press("Enter Batch Mode")
        for box in portal.page.locator("tr").filter(has_text="many").locator("input").all():
            box.check(force=True)
        for button in ("Batch Stop", "Batch Delete"):
            portal.press(button)
            portal.picture(button.lower().replace(" ", "-"))
            portal.press("Confirm")
            portal.press_when_there("Finish", 300)

    def search(self) -> None:
        """By a word, among all guests."""
        portal = self.portal
        portal.go("/admin/instances/")
        portal.sees(FULL_NAME)
        portal.fill("Key Word", GUEST)
        portal.press("Search")
        portal.sees(FULL_NAME)
        portal.picture("guests-found")
        portal.fill("Key Word", "nothing")
        portal.press("Search")
        portal.sees("No instance match keyword: nothing")

    def lost(self) -> None:
        """Its cell dies: it counts as lost, cannot be started, and can when the cell is back."""
        portal = self.portal
        row = self.row()
        cell = next(cell for cell in self.lab.cells if cell.address in row.inner_text())
        self.lab.kill(cell.name)
        portal.go(f"/admin/dashboard/pools/{POOL}")
        portal.sees(f"Compute Cell: {cell.name} ( Offline )")
        portal.picture("cell-lost")
        portal.go("/admin/dashboard")
        portal.sees("Lost: 1")
        portal.picture("guest-lost")
        row = self.row()
        reason = f"cell '{cell.name}' does not answer"
        portal.troubles.expected.append(reason)
        portal.press_icon("Start Instance", FULL_NAME)
        portal.sees(reason, 150)
        portal.picture("guest-lost-refused")
        self.lab.up(2)
        portal.go(f"/admin/dashboard/pools/{POOL}")
        portal.sees(f"Compute Cell: {cell.name} ( Online )", 180)
        # Refused until it is known what became of the first attempt.
        portal.troubles.expected.append(f"guest '{FULL_NAME}' is busy")
        row = self.row()
        for _ in range(36):
            if row.locator('[title="Running"]').count():
                break
            row.locator('[title="Start Instance"]').first.dispatch_event("click")
            portal.page.wait_for_timeout(5000)
        row.locator('[title="Running"]').wait_for()
        portal.picture("guest-found-again")

    def _delete(self, name: str) -> None:
        portal = self.portal
        row = self.row(name)
        portal.press_icon("Delete Instance", name)
        portal.picture("guest-delete")
        portal.press("Confirm")
        portal.dialog_closes()
        row.wait_for(state="detached")
